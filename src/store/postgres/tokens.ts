import { createHash, randomBytes } from 'node:crypto';
import type { Environment } from '../../environment.js';
import type { PrismaClient } from '../../generated/prisma/client.js';
import type { TokenInfo, TokenStore } from '../tokens.js';
import { storeErrorOf } from './database.js';

/** Marks a text as a token of ours, so that scanners for leaked secrets can find it. */
const PREFIX = 'dispatcher_';

/** Tokens in the table `tokens`: 256 random bits each, of which only the SHA-256 is kept. */
export class PostgresTokens implements TokenStore {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly environment: Environment,
  ) {}

  async issue(
    user: string,
    { groups, expiresAt, description }: { groups: readonly string[]; expiresAt?: Date; description?: string },
  ): Promise<{ id: string; token: string }> {
    const id = this.environment.id();
    const token = PREFIX + randomBytes(32).toString('base64url');
    const data = { id, tokenHash: digest(token), userName: user, groups: [...groups], createdAt: this.environment.now() };
    await attempt(() =>
      this.prisma.token.create({ data: { ...data, expiresAt: expiresAt ?? null, description: description ?? null } }),
    );
    return { id, token };
  }

  async find(token: string): Promise<{ id: string; user: string; groups: readonly string[] } | undefined> {
    if (!token.startsWith(PREFIX)) return undefined;
    const found = await attempt(() => this.prisma.token.findUnique({ where: { tokenHash: digest(token) } }));
    if (!found || (found.expiresAt && found.expiresAt <= this.environment.now())) return undefined;
    return { id: found.id, user: found.userName, groups: found.groups };
  }

  async list(): Promise<readonly TokenInfo[]> {
    const found = await attempt(() => this.prisma.token.findMany({ orderBy: [{ createdAt: 'asc' }, { id: 'asc' }] }));
    return found.map(({ id, userName, groups, description, createdAt, expiresAt }) => ({
      id,
      user: userName,
      groups,
      createdAt,
      ...(description !== null && { description }),
      ...(expiresAt !== null && { expiresAt }),
    }));
  }

  async revoke(id: string): Promise<boolean> {
    if (!UUID.test(id)) return false;
    const { count } = await attempt(() => this.prisma.token.deleteMany({ where: { id } }));
    return count > 0;
  }
}

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

function digest(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

async function attempt<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw storeErrorOf(error);
  }
}
