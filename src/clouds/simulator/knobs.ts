import { z } from 'zod';

const milliseconds = z.number().min(0).max(86_400_000);
const rate = z.number().min(0).max(1);
const service = z.int().min(0).max(1).default(1);

/** What can be turned on the simulated cloud, with its defaults. All are numbers; times are milliseconds, rates parts of 1. */
export const knobsSchema = z.strictObject({
  latency: milliseconds.default(20).describe('How long each request waits before it is looked at. Milliseconds.'),
  buildTime: milliseconds.default(2000).describe('From the request for a server until it is ACTIVE. Milliseconds.'),
  buildTimeJitter: rate.default(0.25).describe('The part of buildTime that is added or taken away by chance. 0 to 1.'),
  actionTime: milliseconds.default(500).describe('How long stop, start, reboot, delete and the like take. Milliseconds.'),
  buildErrorRate: rate.default(0).describe('The part of new servers that end in ERROR. 0 to 1.'),
  stuckBuildRate: rate.default(0).describe('The part of new servers that stay in BUILD for good. 0 to 1.'),
  rateLimit: z
    .number()
    .min(0)
    .max(1_000_000)
    .default(0)
    .describe('Requests a second that are served; more are answered 429 with Retry-After. 0: no limit.'),
  errorRate: rate.default(0).describe('The part of requests answered 503 without effect. 0 to 1.'),
  lostReplyRate: rate.default(0).describe('The part of changes that are made while the connection is reset. 0 to 1.'),
  lateEffectRate: rate.default(0).describe('The part of changes whose connection is reset and that are made later. 0 to 1.'),
  lateEffectDelay: milliseconds.default(5000).describe('How much later the changes of lateEffectRate are made. Milliseconds.'),
  pageSize: z.int().min(1).max(100_000).default(1000).describe('The most servers in one page, whatever limit says.'),
  shortPageRate: rate
    .default(0)
    .describe('The part of pages that are a server short and have no link to the next while servers are built. 0 to 1.'),
  tokenTtl: milliseconds.min(1000).default(3_600_000).describe('How long a token is valid. Milliseconds.'),
  quotaInstances: z.int().min(-1).max(1_000_000).default(-1).describe('The most servers in a project. -1: no limit.'),
  networkService: service.describe(
    '1: the catalog names Neutron. 0: a cloud without it. A login that is there already keeps it.',
  ),
  volumeService: service.describe('1: the catalog names Cinder. 0: a cloud without it. A login that is there already keeps it.'),
  seed: z.int().min(0).default(0).describe('Makes chance repeatable. 0: another run, another chance.'),
});

/** The knobs, all set. */
export type Knobs = z.infer<typeof knobsSchema>;

/** One knob, for a command's flags and for people. */
interface KnobHelp {
  /** As in {@link Knobs}. */
  readonly name: keyof Knobs;
  /** As on a command line: `--build-time`. */
  readonly flag: string;
  readonly type: 'number';
  readonly default: number;
  readonly help: string;
}

/** All knobs, in the order of the schema. */
export const KNOB_HELP: readonly KnobHelp[] = Object.entries(knobsSchema.parse({})).map(([key, value]) => {
  const name = knobsSchema.keyof().parse(key);
  return {
    name,
    flag: `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    type: 'number',
    default: value,
    help: knobsSchema.shape[name].description ?? '',
  };
});

/** @returns `changes` laid over `knobs`, checked. @throws ZodError if a value is out of its range or a name is unknown. */
export function turn(knobs: Knobs, changes: unknown): Knobs {
  return knobsSchema.parse({ ...knobs, ...z.record(z.string(), z.unknown()).parse(changes) });
}
