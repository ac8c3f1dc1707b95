import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { z } from 'zod';
import { describeWith } from './real-part.js';

const run = promisify(execFile);
const SCRIPTS = join(import.meta.dirname, '../openstack');
const HOW = 'needs a real OpenStack: as root on Debian 12, test/e2e/openstack/up.sh makes one';

/** Where up.sh keeps its cloud; with another OS_ROOT (and other ports) there can be several. */
const root = process.env.OS_ROOT ?? '/tmp/openstack';

/** The identity service of that cloud. */
export const AUTH_URL = await readFile(join(root, 'demo-openrc'), 'utf8').then(
  (text) => /OS_AUTH_URL=(\S+)/.exec(text)?.[1] ?? 'http://127.0.0.1:5000/v3',
  () => 'http://127.0.0.1:5000/v3',
);

const answers = await fetch(AUTH_URL).then(
  ({ ok }) => ok,
  () => false,
);

/** A suite that needs the cloud of up.sh. Without it, it fails where CI is set, and is skipped elsewhere, saying how to get one. */
export const describeOnOpenStack = describeWith(answers, HOW);

/** The project, user and password of these suites; up.sh makes them. */
export const DEMO = { project: 'demo', username: 'demo', password: 'demo-secret' } as const;

const ADMIN = { project: 'admin', username: 'admin', password: 'admin-secret' } as const;

/** The stock `openstack` client: Debian's, run as the user demo. A call takes it 1 to 2 s. @throws with its words. */
export async function openstack(...words: string[]): Promise<string> {
  return (await runAs(DEMO, words)).stdout.trim();
}

/** {@link openstack} as the administrator of that cloud. */
export async function openstackAsAdmin(...words: string[]): Promise<string> {
  return (await runAs(ADMIN, words)).stdout.trim();
}

/**
 * Several commands, one after another, in one run of the client, most of which is its start. @returns the answers, which are to be asked for
 * as JSON: a command without one is left out. @throws with the words of all that failed.
 */
export async function openstackSession(commands: readonly (readonly string[])[]): Promise<unknown[]> {
  if (commands.length === 0) return [];
  const { stdout, stderr } = await runAs(DEMO, [], commands.map((words) => `${words.join(' ')}\n`).join(''));
  if (stderr !== '') throw new Error(`openstack: ${stderr}`);
  const answers = stdout.split(/\n(?=[[{])/).filter((text) => text.trim() !== '');
  return answers.map((text): unknown => JSON.parse(text));
}

async function runAs(
  who: typeof DEMO | typeof ADMIN,
  words: readonly string[],
  input = '',
): Promise<{ stdout: string; stderr: string }> {
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    OS_AUTH_URL: AUTH_URL,
    OS_IDENTITY_API_VERSION: '3',
    OS_REGION_NAME: 'RegionOne',
    OS_USERNAME: who.username,
    OS_PASSWORD: who.password,
    OS_PROJECT_NAME: who.project,
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
    // Tags of servers came with 2.26; without this the client asks for 2.1.
    OS_COMPUTE_API_VERSION: '2.79',
  };
  const running = run(process.env.OPENSTACK_CLIENT ?? '/usr/bin/openstack', words, { env, timeout: 60_000 });
  running.child.stdin?.end(input);
  return running;
}

/** {@link openstack} with `-f json`, parsed. */
export async function openstackJson<T>(schema: z.ZodType<T>, ...words: string[]): Promise<T> {
  return schema.parse(JSON.parse(await openstack(...words, '-f', 'json')));
}

/** A daemon that the suites break; see service.sh. */
export type Daemon = 'keystone' | 'nova-api' | 'nova-compute' | 'rabbitmq' | 'neutron-server';

/** Stops, freezes, thaws or starts a daemon by service.sh. `knobs` are those of up.sh, such as TOKEN_TTL. */
export async function service(
  verb: 'stop' | 'start' | 'restart' | 'freeze' | 'thaw',
  daemon: Daemon,
  knobs: Readonly<Record<string, string>> = {},
): Promise<void> {
  await run(join(SCRIPTS, 'service.sh'), [verb, daemon], { env: { ...process.env, ...knobs }, timeout: 120_000 });
}

/** Puts a daemon right again, whatever was done to it. */
export async function mend(daemon: Daemon): Promise<void> {
  const { stdout } = await run(join(SCRIPTS, 'service.sh'), ['status', daemon]);
  if (stdout.includes(' frozen ')) await service('thaw', daemon);
  if (stdout.includes(' down ')) await service('start', daemon);
}
