import { FirewallWorld } from './firewall-world.js';
import { liveThrough } from './live.js';

const SEEDS = Math.ceil(Number(process.env.SEEDS ?? 2000) / 8);

liveThrough(
  'firewall rules, from seed %i on: what is declared and open is never closed by us; in the end open is what is declared, and nothing else',
  FirewallWorld,
  SEEDS,
);
