#!/usr/bin/env node
// Stands in for Prisma's native schema-engine binary: speaks the CLI's JSON-RPC on stdio and hands the work to
// @prisma/schema-engine-wasm over @prisma/adapter-pg. With PRISMA_SCHEMA_ENGINE_BINARY pointing here (prisma.config.ts does
// that), `prisma migrate ...` works without downloading anything. A tool for developers: nothing at run time needs it.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const argv = process.argv.slice(2);
const wasmDirectory = dirname(require.resolve('@prisma/schema-engine-wasm'));

/** The values of a flag that may be given several times. */
function valuesOf(flag) {
  return argv.flatMap((argument, i) => (argument === flag ? [argv[i + 1]] : []));
}

if (argv.includes('--version') || argv.includes('-V')) {
  const { version } = JSON.parse(readFileSync(join(wasmDirectory, 'package.json'), 'utf8'));
  process.stdout.write(`schema-engine-wasm ${version.split(/[.-]/).at(-1)}\n`);
  process.exit(0);
}

const { default: pg } = await import('pg');
const { parse } = require('pg-connection-string');
const datasource = JSON.parse(valuesOf('--datasource')[0] ?? '{}');

function logError(message, extra) {
  const line = {
    timestamp: new Date().toISOString(),
    level: 'ERROR',
    target: 'schema_engine::logger',
    fields: { message, ...extra },
  };
  process.stderr.write(`\n${JSON.stringify(line)}\n`);
}

function connectionOf(url) {
  const { host, port, user, password, database, ssl, options } = parse(url);
  return {
    schema: new URL(url).searchParams.get('schema') ?? undefined,
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
}

// --- `schema-engine cli <command>` ---------------------------------------------------------
const cli = argv.indexOf('cli');
if (cli >= 0) process.exit(await runCommand(argv[cli + 1]));

async function runCommand(command) {
  const { config } = connectionOf(datasource.url);
  const query = async (database, sql) => {
    const client = new pg.Client({ ...config, database });
    try {
      await client.connect();
      await client.query(sql);
    } finally {
      await client.end().catch(() => undefined);
    }
  };
  const name = pg.escapeIdentifier(config.database ?? 'postgres');
  try {
    if (command === 'can-connect-to-database') await query(config.database, 'SELECT 1');
    else if (command === 'create-database') await query('postgres', `CREATE DATABASE ${name}`);
    else if (command === 'drop-database') await query('postgres', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    else throw new Error(`unknown command ${command}`);
    return 0;
  } catch (error) {
    const codes = { '3D000': 'P1003', '28P01': 'P1000', '42P04': 'P1009', ECONNREFUSED: 'P1001', ENOTFOUND: 'P1001' };
    const code = codes[error.code];
    logError(error.message || String(error.code), { is_panic: false, ...(code && { error_code: code }) });
    return 1;
  }
}

// --- JSON-RPC server -----------------------------------------------------------------------
const { PrismaPg } = await import('@prisma/adapter-pg');
const { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } = await import('@prisma/driver-adapter-utils');
const bindings = await import('@prisma/schema-engine-wasm/schema_engine_bg');
const wasmModule = new WebAssembly.Module(readFileSync(join(wasmDirectory, 'schema_engine_bg.wasm')));
const wasm = new WebAssembly.Instance(wasmModule, { './schema_engine_bg.js': bindings }).exports;
bindings.__wbg_set_wasm(wasm);
wasm.__wbindgen_start();

const CHAR_OID = 18;
const TEXT_OID = 25;

/** The catalog's "char" columns, which the engine's introspection reads, are reported as Character. */
function reportCharacters(queryable) {
  const performIO = queryable.performIO.bind(queryable);
  const queryRaw = queryable.queryRaw.bind(queryable);
  queryable.queryRaw = async (query) => {
    const characters = [];
    queryable.performIO = async (input) => {
      const answer = await performIO(input);
      for (const [i, field] of answer.fields.entries()) {
        if (field.dataTypeID !== CHAR_OID) continue;
        field.dataTypeID = TEXT_OID;
        characters.push(i);
      }
      return answer;
    };
    const result = await queryRaw(query);
    for (const i of characters) result.columnTypes[i] = ColumnTypeEnum.Character;
    return result;
  };
  return queryable;
}

/**
 * PrismaPg with two faults mended: whole scripts go to the server in one query (the stock one splits at every ';', which
 * breaks function bodies), and the shadow database is really another database.
 */
class MigrationPg extends PrismaPg {
  constructor(config, schema) {
    super(config, { schema });
    this.connection = config;
    this.schema = schema;
  }

  async connect() {
    const adapter = await super.connect();
    adapter.executeScript = async (script) => {
      try {
        await adapter.underlyingDriver().query(script);
      } catch (error) {
        adapter.onError(error);
      }
    };
    const startTransaction = adapter.startTransaction.bind(adapter);
    adapter.startTransaction = async (level) => reportCharacters(await startTransaction(level));
    return reportCharacters(adapter);
  }

  async connectToShadowDb() {
    if (datasource.shadowDatabaseUrl) {
      const { config, schema } = connectionOf(datasource.shadowDatabaseUrl);
      return new MigrationPg(config, schema).connect();
    }
    const name = `prisma_migrate_shadow_db_${randomUUID()}`;
    const main = await super.connect();
    await main.executeScript(`CREATE DATABASE "${name}"`);
    const shadow = await new MigrationPg({ ...this.connection, database: name }, this.schema).connect();
    const dispose = shadow.dispose.bind(shadow);
    shadow.dispose = async () => {
      await dispose();
      await main.executeScript(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
      await main.dispose();
    };
    return shadow;
  }
}

let engineReady;
function engine() {
  engineReady ??= startEngine();
  return engineReady;
}

function startEngine() {
  const datamodels = valuesOf('--datamodels').map((file) => [file, readFileSync(file, 'utf8')]);
  const { config, schema } = datasource.url ? connectionOf(datasource.url) : { config: {} };
  const factory = bindMigrationAwareSqlAdapterFactory(new MigrationPg(config, schema));
  const debug = (line) => process.env.DEBUG && process.stderr.write(`${line}\n`);
  return bindings.SchemaEngine.new({ datamodels: datamodels.length ? datamodels : undefined }, debug, factory);
}

function send(message) {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
}

let printed = 0;
async function perform(method, params) {
  const ready = await engine();
  if (method === 'getDatabaseVersion') return ready.version(params);
  if (method === 'ensureConnectionValidity' && !datasource.url) throw new Error('no datasource url');
  const result = await ready[method](params);
  if (method !== 'diff') return result;
  printed += 1;
  if (result.stdout) send({ id: 1e9 + printed, method: 'print', params: { content: result.stdout } });
  return { exitCode: result.exitCode };
}

async function answer({ id, method, params }) {
  try {
    send({ id, result: (await perform(method, params)) ?? null });
  } catch (error) {
    const data = {
      is_panic: error instanceof WebAssembly.RuntimeError,
      message: error.message ?? String(error),
      meta: error.meta ?? null,
      error_code: error.code ?? null,
    };
    send({ id, error: { code: 4466, message: 'An error happened. Check the data field for details.', data } });
  }
}

let last = Promise.resolve();
createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (!line.trim()) return;
    const message = JSON.parse(line);
    if (message.method) last = last.then(() => answer(message));
  })
  .on('close', () => last.then(() => process.exit(0)));
