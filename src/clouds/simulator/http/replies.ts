import type { Call, Reply } from './service.js';

/** A failure as the web framework below Nova and Glance words it. */
export function html(title: string, message: string): string {
  const head = ` <head>\n  <title>${title}</title>\n </head>`;
  return `<html>\n${head}\n <body>\n  <h1>${title}</h1>\n  ${message}<br /><br />\n\n\n\n </body>\n</html>`;
}

/** What Nova, Neutron and Cinder answer without a valid token. */
export function unauthorized(call: Call): Reply {
  const message = 'The request you have made requires authentication.';
  return {
    status: 401,
    json: { error: { code: 401, title: 'Unauthorized', message } },
    headers: { 'www-authenticate': `Keystone uri="${call.origin}/identity/v3"` },
  };
}
