import { liveThrough } from './live.js';
import { StockWorld } from './stock-world.js';

/** A world of pools takes some ten times as long as one of machines. */
const SEEDS = Math.ceil(Number(process.env.SEEDS ?? 2000) / 8);

liveThrough(
  'pools, from seed %i on: a machine is one user’s, and clean; nobody who could have one waits in the end; never more than maxSize',
  StockWorld,
  SEEDS,
);
