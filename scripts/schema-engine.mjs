#!/usr/bin/env node
import { randomUUID } from 'node:crypto';
// Drop-in replacement for Prisma's native schema-engine binary: speaks the CLI's JSON-RPC on
// stdio and delegates to @prisma/schema-engine-wasm over @prisma/adapter-pg. Point
// PRISMA_SCHEMA_ENGINE_BINARY at this (executable) file and `prisma migrate ...` works offline.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const argv = process.argv.slice(2);
const values = (flag) => argv.flatMap((a, i) => (a === flag ? [argv[i + 1]] : []));
const wasmDir = dirname(require.resolve('@prisma/schema-engine-wasm'));
if (argv.includes('--version') || argv.includes('-V')) {
  const { version } = JSON.parse(readFileSync(join(wasmDir, 'package.json'), 'utf8'));
  console.log(`schema-engine-wasm ${version.split(/[.-]/).at(-1)}`);
  process.exit(0);
}
const log = (level, message, extra = {}) =>
  process.stderr.write(
    JSON.stringify({
      timestamp: new Date().toISOString(),
      level,
      target: 'schema_engine::logger',
      fields: { message, ...extra },
    }) + '\n',
  );

const { default: pg } = await import('pg');
const { parse } = require('pg-connection-string');
const datasource = JSON.parse(values('--datasource')[0] ?? '{}');
const toConfig = (url) => {
  const { host, port, user, password, database, ssl, options } = parse(url);
  const schema = new URL(url).searchParams.get('schema') ?? undefined;
  return {
    schema,
    config: {
      host: host ?? undefined,
      port: port ? Number(port) : undefined,
      user,
      password,
      database: database ?? undefined,
      ssl,
      options,
      max: 3,
    },
  };
};

// --- `schema-engine cli <command>` ---------------------------------------------------------
const cli = argv.indexOf('cli');
if (cli >= 0) {
  const { config } = toConfig(datasource.url);
  const q = (database, sql) => {
    const c = new pg.Client({ ...config, database });
    return c
      .connect()
      .then(() => c.query(sql))
      .finally(() => c.end().catch(() => {}));
  };
  const id = pg.escapeIdentifier(config.database ?? 'postgres');
  const cmd = argv[cli + 1];
  try {
    if (cmd === 'can-connect-to-database') await q(config.database, 'SELECT 1');
    else if (cmd === 'create-database') await q('postgres', `CREATE DATABASE ${id}`);
    else if (cmd === 'drop-database') await q('postgres', `DROP DATABASE IF EXISTS ${id} WITH (FORCE)`);
    else throw new Error(`unknown command ${cmd}`);
    process.exit(0);
  } catch (e) {
    const code = { '3D000': 'P1003', '28P01': 'P1000', '42P04': 'P1009', ECONNREFUSED: 'P1001', ENOTFOUND: 'P1001' }[e.code];
    process.stderr.write('\n');
    log('ERROR', e.message || String(e.code), { is_panic: false, ...(code && { error_code: code }) });
    process.exit(1);
  }
}

// --- JSON-RPC server -----------------------------------------------------------------------
const { PrismaPg } = await import('@prisma/adapter-pg');
const { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } = await import('@prisma/driver-adapter-utils');
const bg = await import('@prisma/schema-engine-wasm/schema_engine_bg');
const wasm = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(join(wasmDir, 'schema_engine_bg.wasm'))), {
  './schema_engine_bg.js': bg,
}).exports;
bg.__wbg_set_wasm(wasm);
wasm.__wbindgen_start();

// Two fixes to PrismaPg: whole scripts go to the server in one simple query (the stock one splits on
// every ';', breaking $$ function bodies), and the shadow database is really another database.
// The catalog's "char" columns (OID 18), which the engine's introspection reads, are reported as Character.
const charAware = (q) => {
  const performIO = q.performIO.bind(q),
    queryRaw = q.queryRaw.bind(q);
  q.queryRaw = async (query) => {
    let chars = [];
    q.performIO = async (x) => {
      const r = await performIO(x);
      chars = r.fields.flatMap((f, i) => (f.dataTypeID === 18 ? [((f.dataTypeID = 25), i)] : []));
      return r;
    };
    const result = await queryRaw(query);
    for (const i of chars) result.columnTypes[i] = ColumnTypeEnum.Character;
    return result;
  };
  return q;
};
class MigrationPg extends PrismaPg {
  constructor(config, schema) {
    super(config, { schema });
    this.cfg = config;
    this.schema = schema;
  }
  async connect() {
    const a = await super.connect();
    a.executeScript = async (s) => {
      try {
        await a.underlyingDriver().query(s);
      } catch (e) {
        a.onError(e);
      }
    };
    const start = a.startTransaction.bind(a);
    a.startTransaction = async (level) => charAware(await start(level));
    return charAware(a);
  }
  async connectToShadowDb() {
    if (datasource.shadowDatabaseUrl) {
      const { config, schema } = toConfig(datasource.shadowDatabaseUrl);
      return new MigrationPg(config, schema).connect();
    }
    const name = `prisma_migrate_shadow_db_${randomUUID()}`;
    const main = await super.connect();
    await main.executeScript(`CREATE DATABASE "${name}"`);
    const shadow = await new MigrationPg({ ...this.cfg, database: name }, this.schema).connect();
    const end = shadow.dispose.bind(shadow);
    shadow.dispose = async () => {
      await end();
      await main.executeScript(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
      await main.dispose();
    };
    return shadow;
  }
}
let enginePromise;
const engine = () =>
  (enginePromise ??= (async () => {
    const datamodels = values('--datamodels').map((f) => [f, readFileSync(f, 'utf8')]);
    const { config, schema } = datasource.url ? toConfig(datasource.url) : { config: {} };
    const factory = bindMigrationAwareSqlAdapterFactory(new MigrationPg(config, schema));
    return bg.SchemaEngine.new(
      { datamodels: datamodels.length ? datamodels : undefined },
      (l) => process.env.DEBUG && process.stderr.write(l + '\n'),
      factory,
    );
  })());
const send = (m) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...m }) + '\n');
const noDb = () => {
  if (!datasource.url) throw new Error('no datasource url');
};
const methods = {
  getDatabaseVersion: (e, p) => e.version(p),
  ensureConnectionValidity: async (e, p) => (noDb(), e.ensureConnectionValidity(p)),
};
let nextId = 1,
  tail = Promise.resolve();
const handle = async ({ id, method, params }) => {
  try {
    const e = await engine();
    let result = await (methods[method] ? methods[method](e, params) : e[method](params));
    if (method === 'diff') {
      if (result.stdout) send({ id: 1e9 + nextId++, method: 'print', params: { content: result.stdout } });
      result = { exitCode: result.exitCode };
    }
    send({ id, result: result ?? null });
  } catch (err) {
    send({
      id,
      error: {
        code: 4466,
        message: 'An error happened. Check the data field for details.',
        data: {
          is_panic: err instanceof WebAssembly.RuntimeError,
          message: err.message ?? String(err),
          meta: err.meta ?? null,
          error_code: err.code ?? null,
        },
      },
    });
  }
};
createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (!line.trim()) return;
    const m = JSON.parse(line);
    if (m.method) tail = tail.then(() => handle(m));
  })
  .on('close', () => tail.then(() => process.exit(0)));
