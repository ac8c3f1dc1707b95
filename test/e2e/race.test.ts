import { describe, jest } from '@jest/globals';
import { postgresPlane } from './support/postgres-plane.js';
import { raceContract } from './support/race.js';

jest.setTimeout(240_000);

describe('The race for machines, on one PostgreSQL', () => raceContract(postgresPlane));
