/** What the status page shows, each resource flattened to text. */
export interface Snapshot {
  readonly virtualMachines: readonly PageRow[];
  readonly clouds: readonly PageRow[];
}

/** One line of the page. Absent texts show as a dash. */
export interface PageRow {
  readonly namespace?: string;
  readonly name: string;
  readonly ready?: string;
  readonly reason?: string;
  readonly state?: string;
  readonly address?: string;
  /** The Cloud of a VirtualMachine, or the engine of a Cloud. */
  readonly cloud?: string;
}

/** Seconds between refreshes. */
const REFRESH_SECONDS = 5;
/** Rows of a table at most: a page is for a glance, kubectl for the rest. */
const MOST_ROWS = 500;

const STYLE = `
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2733;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #dde3ea}
.True{color:#1a7f37}.False{color:#b42318}.Unknown{color:#7a5d00}footer,p{color:#56657a}
@media(prefers-color-scheme:dark){body{color:#d7dee7;background:#12171d}th,td{border-color:#2b343f}
.True{color:#4ac26b}.False{color:#ff7b72}.Unknown{color:#d4a72c}footer,p{color:#8b98a9}}`;

/** The page's style, for the hash in its Content-Security-Policy. */
export const PAGE_STYLE = STYLE;

/** The status page as HTML: VirtualMachines and Clouds at a glance. All text is escaped; it needs no script and refreshes itself. */
export function renderPage({ virtualMachines, clouds }: Snapshot, version: string, now: Date): string {
  const ready = virtualMachines.filter((row) => row.ready === 'True').length;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="${REFRESH_SECONDS}"><title>Dispatcher</title><style>${STYLE}</style></head>
<body><h1>Dispatcher</h1>
<h2>VirtualMachines: ${ready} of ${virtualMachines.length} ready</h2>
${table(['Namespace', 'Name', 'Ready', 'Reason', 'State', 'Address', 'Cloud'], virtualMachines, vmCells)}
<h2>Clouds</h2>
${table(['Name', 'Ready', 'Reason', 'Engine'], clouds, cloudCells)}
<footer>Dispatcher ${escapeHtml(version)}, ${escapeHtml(now.toISOString())}</footer></body></html>
`;
}

const vmCells = (row: PageRow) => [row.namespace, row.name, row.ready, row.reason, row.state, row.address, row.cloud];
const cloudCells = (row: PageRow) => [row.name, row.ready, row.reason, row.cloud];

function table(heads: readonly string[], rows: readonly PageRow[], cells: (row: PageRow) => (string | undefined)[]): string {
  if (rows.length === 0) return '<p>None yet.</p>';
  const head = heads.map((text) => `<th>${text}</th>`).join('');
  const lines = rows.slice(0, MOST_ROWS).map((row) => `<tr>${cells(row).map(cell).join('')}</tr>`);
  const more = rows.length > MOST_ROWS ? `<p>and ${rows.length - MOST_ROWS} more</p>` : '';
  return `<table><thead><tr>${head}</tr></thead><tbody>\n${lines.join('\n')}\n</tbody></table>${more}`;
}

function cell(text = '-'): string {
  const standing = /^(True|False|Unknown)$/.test(text) ? ` class="${text}"` : '';
  return `<td${standing}>${escapeHtml(text)}</td>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Text that means itself in HTML. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
