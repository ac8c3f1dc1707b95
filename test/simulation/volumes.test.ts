import { liveThrough } from './live.js';
import { VolumeWorld } from './volume-world.js';

/** A world of pools takes some ten times as long as one of machines. */
const SEEDS = Math.ceil(Number(process.env.SEEDS ?? 2000) / 8);

liveThrough(
  'volumes, from seed %i on: one for one record, where it is declared, never on two servers, never lost, never smaller, nobody else’s',
  VolumeWorld,
  SEEDS,
);
