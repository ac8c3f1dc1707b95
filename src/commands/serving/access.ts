import { PrismaPg } from '@prisma/adapter-pg';
import { systemEnvironment } from '../../environment.js';
import { PrismaClient } from '../../generated/prisma/client.js';
import { Passwords } from '../../store/passwords.js';
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
  // Tells in one sentence what is wrong with a connection, where Prisma would show the query.
  await (await connect(connectionString, 'dispatcher access')).end();
  const prisma = new PrismaClient({
    adapter: new PrismaPg({ connectionString, options: '-c timezone=UTC', application_name: 'dispatcher access' }),
  });
  try {
    return await work({
      tokens: new PostgresTokens(prisma, systemEnvironment),
      users: new PostgresUsers(prisma, systemEnvironment, new Passwords()),
    });
  } finally {
    await prisma.$disconnect();
  }
}
