import { describe, expect, test } from '@jest/globals';
import type { AuditEntry } from '../../src/store/audit.js';
import { AuditWriter } from '../../src/store/audit-writer.js';
import { StoreError } from '../../src/store/errors.js';
import { captureLog } from '../support/log.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const record = (name: string) => ({
  user: 'ann',
  verb: 'create',
  group: '',
  resource: 'secrets',
  namespace: 'team',
  name,
  code: 201,
  requestId: 'r',
  address: '192.0.2.1',
});

/** A writer whose store does what `append` says, in virtual time. */
function writer(append: (names: string[]) => void = () => undefined) {
  const world = new VirtualEnvironment(1);
  const groups: string[][] = [];
  const entries: AuditEntry[] = [];
  const { log, lines } = captureLog();
  const store = {
    append: async (given: readonly AuditEntry[]) => {
      const names = given.map(({ name }) => name);
      append(names);
      groups.push(names);
      entries.push(...given);
    },
  };
  const lost = () => lines.flatMap(({ entry }) => (typeof entry === 'object' && entry && 'name' in entry ? [entry.name] : []));
  return { subject: new AuditWriter(store, world, log), world, groups, entries, lines, lost };
}

describe('the audit writer', () => {
  test('writes what gathers as one group, with an id and the time of each', async () => {
    const { subject, world, groups, entries } = writer();
    for (const name of ['a', 'b', 'c']) subject.record(record(name));
    expect(groups).toEqual([]);
    await world.run();
    expect(groups).toEqual([['a', 'b', 'c']]);
    expect(entries[0]).toEqual({ ...record('a'), id: expect.any(String), at: new Date('2026-01-01T00:00:00Z') });
    subject.record(record('d'));
    await world.run();
    expect(groups).toEqual([['a', 'b', 'c'], ['d']]);
  });

  test('writes many in groups of 500', async () => {
    const { subject, world, groups } = writer();
    for (let number = 0; number < 1100; number++) subject.record(record(String(number)));
    await world.run();
    expect(groups.map(({ length }) => length)).toEqual([500, 500, 100]);
  });

  test('logs a failure, tries the same entries again, and loses none', async () => {
    let failures = 3;
    const { subject, world, groups, lines, lost } = writer(() => {
      if (failures-- > 0) throw new StoreError('Unavailable', 'the database is away');
    });
    subject.record(record('a'));
    await world.run(() => failures < 3);
    subject.record(record('b'));
    await world.run();
    expect(groups).toEqual([['a', 'b']]);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatchObject({ msg: 'the audit table cannot be written to', entries: 1 });
    expect(lost()).toEqual([]);
  });

  test('while the database is away for long keeps 10,000, and logs the older ones whole', async () => {
    let away = true;
    const { subject, world, entries, lost } = writer(() => {
      if (away) throw new StoreError('Unavailable', 'away');
    });
    for (let number = 0; number < 10_002; number++) subject.record(record(String(number)));
    await world.run(() => false, 5_000);
    expect(lost()).toEqual(['0', '1']);
    away = false;
    await world.run();
    expect(entries.map(({ name }) => name)).toEqual(Array.from({ length: 10_000 }, (_, number) => String(number + 2)));
  });

  test('gives up what cannot be kept, alone, and logs it', async () => {
    const { subject, world, groups, lost } = writer((names) => {
      if (names.includes('bad')) throw new StoreError('Invalid', 'cannot be kept');
    });
    for (const name of ['a', 'bad', 'b']) subject.record(record(name));
    await world.run();
    expect(groups).toEqual([['a'], ['b']]);
    expect(lost()).toEqual(['bad']);
  });

  test('when closed writes what waits at once, or logs it as lost', async () => {
    const good = writer();
    good.subject.record(record('a'));
    await good.subject.close();
    expect(good.groups).toEqual([['a']]);
    const bad = writer(() => {
      throw new StoreError('Unavailable', 'away');
    });
    bad.subject.record(record('a'));
    bad.subject.record(record('b'));
    await bad.subject.close();
    expect(bad.lost()).toEqual(['a', 'b']);
  });

  test('keeps of a client’s text what a row can hold', async () => {
    const { subject, world, entries } = writer();
    subject.record({ ...record(`a\0b\ud800${'x'.repeat(300)}`), user: 'a\nb' });
    await world.run();
    expect(entries[0]).toMatchObject({ user: 'a\ufffdb', name: `a\ufffdb\ufffd${'x'.repeat(249)}` });
  });
});
