import { z } from 'zod';
import type { Environment } from '../../environment.js';
import type { PrismaClient } from '../../generated/prisma/client.js';
import { StoreError } from '../errors.js';
import type { Passwords } from '../passwords.js';
import { type Grant, ROLE_NAMES, type UserInfo, type UserStore } from '../users.js';
import { attempt } from './attempt.js';

const grantsSchema = z.array(z.object({ role: z.enum(ROLE_NAMES), namespaces: z.array(z.string()).optional() }));
/** As the table has it. What is no such name is no user's, and need not be asked for. */
const NAME = /^(?!system:)[^\s\p{Cc}\p{Cs}]{1,253}$/u;

/** Users in the table `users`. */
export class PostgresUsers implements UserStore {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly environment: Environment,
    private readonly passwords: Passwords,
  ) {}

  async create({ name, grants, password }: { name: string; grants: readonly Grant[]; password: string }): Promise<void> {
    if (!NAME.test(name)) {
      throw new StoreError('Invalid', 'the name of a user must be 1 to 253 characters without spaces, not begin with system:');
    }
    const passwordHash = await this.passwords.hash(password);
    const data = { id: this.environment.id(), name, grants: plain(grants), passwordHash, createdAt: this.environment.now() };
    const { count } = await attempt(() => this.prisma.user.createMany({ data: [data], skipDuplicates: true }));
    if (count === 0) throw new StoreError('AlreadyExists', `user ${name} already exists`);
  }

  async list(): Promise<readonly UserInfo[]> {
    return (await attempt(() => this.prisma.user.findMany({ orderBy: { name: 'asc' } }))).map(infoOf);
  }

  async get(name: string): Promise<UserInfo | undefined> {
    const found = await this.#find(name);
    return found ? infoOf(found) : undefined;
  }

  async setDisabled(name: string, disabled: boolean): Promise<boolean> {
    return this.#change(name, { disabled });
  }

  async setGrants(name: string, grants: readonly Grant[]): Promise<boolean> {
    return this.#change(name, { grants: plain(grants) });
  }

  async setPassword(name: string, password: string): Promise<boolean> {
    if (!(await this.get(name))) return false;
    const passwordHash = await this.passwords.hash(password);
    const [{ count }] = await attempt(() =>
      this.prisma.$transaction([
        this.prisma.user.updateMany({ where: { name }, data: { passwordHash } }),
        this.prisma.token.deleteMany({ where: { userName: name } }),
      ]),
    );
    return count > 0;
  }

  async delete(name: string): Promise<boolean> {
    if (!(await this.get(name))) return false;
    const [{ count }] = await attempt(() =>
      this.prisma.$transaction([
        this.prisma.user.deleteMany({ where: { name } }),
        // Those from before the user had the user's rights, and must not get their own back.
        this.prisma.token.deleteMany({ where: { userName: name } }),
      ]),
    );
    return count > 0;
  }

  async verify(name: string, password: string): Promise<UserInfo | undefined> {
    const found = await this.#find(name);
    const right = await this.passwords.matches(password, found?.passwordHash);
    return right && found && !found.disabled ? infoOf(found) : undefined;
  }

  async #change(name: string, data: { disabled: boolean } | { grants: ReturnType<typeof plain> }): Promise<boolean> {
    if (!NAME.test(name)) return false;
    const { count } = await attempt(() => this.prisma.user.updateMany({ where: { name }, data }));
    return count > 0;
  }

  async #find(name: string) {
    return NAME.test(name) ? attempt(() => this.prisma.user.findUnique({ where: { name } })) : null;
  }
}

/** What the column `grants` holds. @throws ZodError for what is no list of roles. */
export function grantsOf(column: unknown): readonly Grant[] {
  return grantsSchema.parse(column).map(({ role, namespaces }) => ({ role, ...(namespaces && { namespaces }) }));
}

function plain(grants: readonly Grant[]) {
  return grants.map(({ role, namespaces }) => ({ role, ...(namespaces && { namespaces: [...namespaces] }) }));
}

function infoOf(row: { name: string; grants: unknown; disabled: boolean; createdAt: Date }): UserInfo {
  const { name, disabled, createdAt } = row;
  return { name, grants: grantsOf(row.grants), disabled, createdAt };
}
