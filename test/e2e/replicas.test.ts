import { describe, expect, jest, test } from '@jest/globals';
import { postgresPlane } from './support/postgres-plane.js';
import { replicasContract } from './support/replicas.js';

jest.setTimeout(240_000);

describe('Two replicas on one PostgreSQL', () => {
  const { plane, servers } = replicasContract(postgresPlane);

  test('leave nothing behind when all is deleted', async () => {
    await plane().kubectl(['delete', 'vm', '--all', '--timeout=100s']);
    expect(await servers()).toEqual([]);
  });
});
