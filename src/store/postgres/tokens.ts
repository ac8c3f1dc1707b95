import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { Environment } from '../../environment.js';
import type { PrismaClient } from '../../generated/prisma/client.js';
import { StoreError } from '../errors.js';
import type { FoundToken, TokenInfo, TokenStore } from '../tokens.js';
import { attempt } from './attempt.js';
import { grantsOf } from './users.js';

/** Marks a text as a token of ours, so that scanners for leaked secrets can find it. */
const PREFIX = 'dispatcher_';

/** Tokens in the table `tokens`: 256 random bits each, of which only the SHA-256 is kept. */
export class PostgresTokens implements TokenStore {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly database: pg.Pool | pg.Client,
    private readonly environment: Environment,
  ) {}

  async issue(
    user: string,
    { groups, expiresAt, description }: { groups: readonly string[]; expiresAt?: Date; description?: string },
  ): Promise<{ id: string; token: string }> {
    const owner = await attempt(() => this.prisma.user.findUnique({ where: { name: user } }));
    if (owner?.disabled) throw new StoreError('Forbidden', `user ${user} is disabled`);
    const id = this.environment.id();
    const token = PREFIX + randomBytes(32).toString('base64url');
    const whose = { userName: user, userId: owner?.id ?? null, groups: owner ? [] : [...groups] };
    const what = { createdAt: this.environment.now(), expiresAt: expiresAt ?? null, description: description ?? null };
    await attempt(() => this.prisma.token.create({ data: { id, tokenHash: digest(token), ...whose, ...what } }));
    return { id, token };
  }

  async find(token: string): Promise<FoundToken | undefined> {
    if (!token.startsWith(PREFIX)) return undefined;
    // By name: a token from before the user was made must not have more rights than the user. With `pg`: it is asked for often.
    const { rows } = await attempt(() =>
      this.database.query<FoundRow>(
        `SELECT t.id, t.user_name AS "user", t.groups, u.grants FROM tokens AS t LEFT JOIN users AS u ON u.name = t.user_name
         WHERE t.token_hash = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) AND u.disabled IS NOT TRUE`,
        [digest(token), this.environment.now().toISOString()],
      ),
    );
    const [found] = rows;
    if (!found) return undefined;
    const { id, user, groups, grants } = found;
    return grants === null ? { id, user, groups } : { id, user, groups: [], grants: grantsOf(grants) };
  }

  async list(): Promise<readonly TokenInfo[]> {
    const found = await attempt(() => this.prisma.token.findMany({ orderBy: [{ createdAt: 'asc' }, { id: 'asc' }] }));
    const users = new Set((await attempt(() => this.prisma.user.findMany({ select: { name: true } }))).map(({ name }) => name));
    return found.map(({ id, userName, groups, description, createdAt, expiresAt }) => ({
      id,
      user: userName,
      groups,
      createdAt,
      ...(description !== null && { description }),
      ...(expiresAt !== null && { expiresAt }),
      ...(users.has(userName) && { ofUser: true }),
    }));
  }

  async revoke(id: string): Promise<boolean> {
    if (!UUID.test(id)) return false;
    const { count } = await attempt(() => this.prisma.token.deleteMany({ where: { id } }));
    return count > 0;
  }
}

interface FoundRow {
  readonly id: string;
  readonly user: string;
  readonly groups: string[];
  /** Null: there is no such user. */
  readonly grants: unknown;
}

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

function digest(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
