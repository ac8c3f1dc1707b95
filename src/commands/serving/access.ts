import { userInfo } from 'node:os';
import { PrismaPg } from '@prisma/adapter-pg';
import { systemEnvironment } from '../../environment.js';
import { PrismaClient } from '../../generated/prisma/client.js';
import type { AuditEntry, AuditStore } from '../../store/audit.js';
import { Passwords } from '../../store/passwords.js';
import { PostgresAudit } from '../../store/postgres/audit.js';
import { connect } from '../../store/postgres/connection.js';
import { PostgresTokens } from '../../store/postgres/tokens.js';
import { PostgresUsers } from '../../store/postgres/users.js';
import type { TokenStore } from '../../store/tokens.js';
import type { UserStore } from '../../store/users.js';
import { readRun } from './run-file.js';

/** Who may use a server. */
export interface AccessStores {
  readonly tokens: TokenStore;
  readonly users: UserStore;
  readonly audit: AuditStore;
  /** Tells the audit of a change that this command made. */
  record(verb: 'create' | 'update' | 'delete', resource: 'users' | 'tokens', name: string): Promise<void>;
}

/**
 * Works on the users and tokens of a server, through its database: what runs this may read the data directory, and that is
 * its right.
 *
 * @param where `databaseUrl` if it is given, else what the server on `dataDir` wrote.
 * @throws ConfigError if no server runs there; StoreError Unavailable if its database does not answer.
 */
export async function withAccess<T>(
  where: { readonly dataDir: string; readonly databaseUrl?: string | undefined },
  work: (stores: AccessStores) => Promise<T>,
): Promise<T> {
  const connectionString = where.databaseUrl ?? (await readRun(where.dataDir)).databaseUrl;
  // First of all: it tells in one sentence what is wrong with a connection, where Prisma would show the query.
  const client = await connect(connectionString, 'dispatcher access');
  const prisma = new PrismaClient({
    adapter: new PrismaPg({ connectionString, options: '-c timezone=UTC', application_name: 'dispatcher access' }),
  });
  const audit = new PostgresAudit(client);
  try {
    return await work({
      tokens: new PostgresTokens(prisma, client, systemEnvironment),
      users: new PostgresUsers(prisma, systemEnvironment, new Passwords()),
      audit,
      record: (verb, resource, name) => audit.append([commandEntry(verb, resource, name)]),
    });
  } finally {
    await prisma.$disconnect();
    await client.end();
  }
}

/** Who runs a command is known to the system only: `local:ann`. */
function commandEntry(verb: string, resource: string, name: string): AuditEntry {
  const code = verb === 'create' ? 201 : 200;
  const what = { verb, group: '', resource, namespace: '', name, code, requestId: '', address: '' };
  return { ...what, id: systemEnvironment.id(), at: systemEnvironment.now(), user: `local:${userInfo().username}` };
}
