import { describe, expect, it } from '@jest/globals';
import { KNOB_HELP, knobsSchema, turn } from '../../../src/clouds/simulator/knobs.js';

describe('knobs', () => {
  it('are all described, as flags too, with the defaults of the schema', () => {
    expect(KNOB_HELP.map(({ name }) => name)).toEqual(Object.keys(knobsSchema.shape));
    for (const { name, flag, help, default: value } of KNOB_HELP) {
      expect(flag).toMatch(/^--[a-z]+(-[a-z]+)*$/);
      expect(help).toMatch(/\.$/);
      expect(value).toBe(knobsSchema.parse({})[name]);
    }
    expect(KNOB_HELP.find(({ name }) => name === 'buildTimeJitter')?.flag).toBe('--build-time-jitter');
  });

  it('turns those that are given, and leaves the others', () => {
    const knobs = knobsSchema.parse({ latency: 1, seed: 9 });
    expect(turn(knobs, { latency: 2 })).toEqual({ ...knobs, latency: 2 });
    expect(() => turn(knobs, { latency: -1 })).toThrow(/latency/);
    expect(() => turn(knobs, 'no')).toThrow();
  });
});
