import type { Happening, Recorder } from '../../controllers/events.js';
import type { Pool } from '../../resources/pool.js';
import type { PoolStep } from './plan.js';

const MOST_NAMED = 10;

/** Tells people what was done for a pool: one event for all machines to which the same happened, one for each that was faulty. */
export function tellSteps(pool: Pool, done: readonly PoolStep[], events: Pick<Recorder, 'record'>): void {
  const groups = new Map<string, { readonly happening: Happening; readonly names: string[] }>();
  for (const step of done) {
    const told = happeningOf(step);
    if (!told) continue;
    const { name, ...happening } = told;
    const key = `${happening.reason} ${happening.message}`;
    const group = groups.get(key) ?? { happening, names: [] };
    group.names.push(name);
    groups.set(key, group);
  }
  for (const { happening, names } of groups.values()) {
    const more = names.length - MOST_NAMED;
    const listed = `${names.slice(0, MOST_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
    events.record(pool, { ...happening, message: happening.message.replace('NAMES', listed) });
  }
}

/** The event of a step; in its message NAMES stands for the machines. */
function happeningOf(step: PoolStep): (Happening & { readonly name: string }) | undefined {
  switch (step.kind) {
    case 'Create':
      return { ...normal('ScaledUp', 'created NAMES', 'Create'), name: step.name };
    case 'SetPower': {
      const [reason, message] =
        step.to === 'Running' ? ['StartedStandby', 'started NAMES'] : ['StoppedForStandby', 'stopped NAMES'];
      return { ...normal(reason, message, 'SetPower'), name: step.vm.metadata.name };
    }
    case 'GiveBack': {
      const message = `took back NAMES, whose assignment is gone: ${step.how.kind}`;
      return { ...normal('TookBack', message, step.how.kind), name: step.vm.metadata.name };
    }
    case 'Delete': {
      const type = step.reason === 'DeletedFaulty' ? 'Warning' : 'Normal';
      const happening = { type, reason: step.reason, message: `deleted NAMES: ${step.why}`, action: 'Delete' } as const;
      return { ...happening, name: step.vm.metadata.name };
    }
    default:
      return undefined;
  }
}

function normal(reason: string, message: string, action: string): Happening {
  return { type: 'Normal', reason, message, action };
}
