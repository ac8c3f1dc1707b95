import { z } from 'zod';
import { conditionSchema } from './conditions.js';
import { nameLength } from './field-of.js';
import { type KindDefinition, readyPath } from './kind.js';
import { GROUP, labelsSchema, nameReference, type Typed, VERSION } from './metadata.js';
import { parametersSchema } from './recipe.js';
import { SAME_CLOUD } from './rules.js';
import { isSchedule, isTimeZone } from './schedule.js';
import { virtualMachineSpecSchema } from './virtual-machine.js';

/** Its machines are `NAME-0` to `NAME-9999`, which is also their host name: 63 characters at most. */
const LONGEST_NAME = 58;

const count = z.int().min(0).max(10_000);

const { image, flavor, keyName, networks, userData, userDataFrom, metadata, tags } = virtualMachineSpecSchema.shape;

const FIVE_FIELDS = 'must be five cron fields: minute, hour, day of month, month, day of week';
const A_TIME_ZONE = 'must be an IANA time zone, such as Europe/Rome';

const scheduleSchema = z.strictObject({
  cron: z
    .string()
    .min(9)
    .max(255)
    .regex(/^[-*/,?#0-9A-Za-z]+( +[-*/,?#0-9A-Za-z]+){4}$/, { message: FIVE_FIELDS, abort: true })
    .refine(isSchedule, { message: FIVE_FIELDS })
    .describe('When, as cron has it: minute, hour, day of month, month, day of week.'),
  timeZone: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[A-Za-z][-+A-Za-z0-9_]*(\/[-+A-Za-z0-9_]+)*$/, { message: A_TIME_ZONE, abort: true })
    .refine(isTimeZone, { message: A_TIME_ZONE })
    .optional()
    .describe('An IANA time zone. Default: UTC.'),
  replicas: count.describe('What replicas is from then on, until the next of these times or a change of spec.replicas.'),
});

export const poolSpecSchema = z.strictObject({
  cloudRef: nameReference.describe('The Cloud that its machines run in. Cannot be changed.'),
  recipeRef: nameReference.optional().describe('The Recipe that its machines are made from. This or template.'),
  parameters: parametersSchema.optional().describe("Values for the recipe's parameters."),
  template: z
    .strictObject({
      labels: labelsSchema
        .meta({ maxProperties: 64 })
        .optional()
        .describe('Labels of its VirtualMachines, beside those of the pool.'),
      spec: z.strictObject({ image, flavor, keyName, networks, userData, userDataFrom, metadata, tags }),
    })
    .optional()
    .describe('What its machines are made from. This or recipeRef.'),
  replicas: count.describe('Machines kept free and ready, beside those that are assigned.'),
  standby: count.optional().describe('Machines kept stopped beside those, to be started when a free one is taken. Default: 0.'),
  maxSize: z.int().min(1).max(10_000).describe('Machines at most, assigned ones and those on their way out among them.'),
  reclaim: z
    .enum(['Delete', 'Recycle'])
    .optional()
    .describe(
      'What becomes of a machine that is given back: deleted, or rebuilt from its image and used again. Default: Delete.',
    ),
  scaleDownOrder: z
    .enum(['Newest', 'Oldest'])
    .optional()
    .describe('Which free machines go first when there are too many; those that are not ready go before all. Default: Newest.'),
  maxUnavailable: count
    .optional()
    .describe('Free machines that may be missing while a changed template or recipe is rolled out. Default: 1.'),
  schedules: z.array(scheduleSchema).max(32).optional().describe('Other values of replicas, by the clock.'),
  paused: z.boolean().optional().describe('True: no machine is made, changed or deleted. Assignments go on.'),
});

const counter = z.int().nonnegative();

export const poolStatusSchema = z.strictObject({
  observedGeneration: counter.optional(),
  conditions: z.array(conditionSchema).max(32).optional(),
  replicas: counter.optional().describe('Machines that are not assigned and are to be free: ready ones, and those on their way.'),
  wanted: counter.optional().describe('What replicas is now: by spec.replicas or the last schedule.'),
  free: counter.optional().describe('Machines that could be assigned now.'),
  assigned: counter.optional(),
  creating: counter.optional().describe('Machines on their way: being made, rebuilt or started.'),
  standby: counter.optional().describe('Machines that are stopped, to be started when needed.'),
  faulty: counter.optional().describe('Machines that failed, or that the inventory calls faulty.'),
  outdated: counter.optional().describe('Machines made from what the template or recipe was before.'),
  total: counter.optional().describe('All machines, those on their way out among them: at most maxSize.'),
  selector: z.string().max(512).optional().describe('A label selector that chooses its machines.'),
  scheduled: z
    .strictObject({
      at: z.string().max(40),
      replicas: counter,
      over: counter.describe('What spec.replicas was then: changed since, it counts again.'),
    })
    .optional()
    .describe('The last schedule that came to its time.'),
});

export type PoolSpec = z.infer<typeof poolSpecSchema>;
export type PoolStatus = z.infer<typeof poolStatusSchema>;
export type Pool = Typed<PoolSpec, PoolStatus>;

const partialSpec = poolSpecSchema.partial();
const readSpec = (value: unknown) => partialSpec.safeParse(value).data;

export const poolKind: KindDefinition = {
  group: GROUP,
  version: VERSION,
  kind: 'VirtualMachinePool',
  plural: 'virtualmachinepools',
  singular: 'virtualmachinepool',
  shortNames: ['vmpool', 'vmpools'],
  categories: ['dispatcher'],
  namespaced: true,
  description: 'A stock of ready virtual machines, for assignments to take from at once.',
  schema: z.strictObject({ spec: poolSpecSchema, status: poolStatusSchema.optional() }),
  statusSubresource: true,
  scale: { spec: '.spec.replicas', status: '.status.replicas', selector: '.status.selector' },
  printerColumns: [
    {
      name: 'Ready',
      type: 'string',
      jsonPath: readyPath('status'),
      description: 'Whether as many machines are free as are wanted',
    },
    { name: 'Reason', type: 'string', jsonPath: readyPath('reason'), description: 'Why' },
    { name: 'Wanted', type: 'integer', jsonPath: '.status.wanted', description: 'Machines to be free and ready' },
    { name: 'Free', type: 'integer', jsonPath: '.status.free', description: 'Machines that could be assigned now' },
    { name: 'Assigned', type: 'integer', jsonPath: '.status.assigned', description: 'Machines that users have' },
    { name: 'Creating', type: 'integer', jsonPath: '.status.creating', description: 'Machines on their way' },
    { name: 'Faulty', type: 'integer', jsonPath: '.status.faulty', description: 'Machines that failed' },
    { name: 'Max', type: 'integer', jsonPath: '.spec.maxSize', description: 'Machines at most' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
    { name: 'Cloud', type: 'string', jsonPath: '.spec.cloudRef.name', description: 'The cloud that they run in', priority: 1 },
    { name: 'Message', type: 'string', jsonPath: readyPath('message'), description: 'The whole reason', priority: 1 },
  ],
  rules: [
    {
      at: [],
      cel: `size(self.metadata.name) <= ${LONGEST_NAME}`,
      message: `must have at most ${LONGEST_NAME} characters: its machines are named after it`,
      field: 'metadata.name',
      check: (value) => nameLength(value) <= LONGEST_NAME,
    },
    SAME_CLOUD,
    {
      at: ['spec'],
      cel: 'has(self.template) != has(self.recipeRef)',
      message: 'exactly one of recipeRef and template must be set',
      field: 'spec.recipeRef',
      check: (value) => {
        const spec = readSpec(value);
        return !spec || (spec.template === undefined) !== (spec.recipeRef === undefined);
      },
    },
    {
      at: ['spec'],
      cel: '!has(self.parameters) || has(self.recipeRef)',
      message: 'parameters are for a recipe: set recipeRef, or leave them out',
      field: 'spec.parameters',
      check: (value) => {
        const spec = readSpec(value);
        return !spec?.parameters || spec.recipeRef !== undefined;
      },
    },
    {
      at: ['spec'],
      cel: '!has(self.template) || !(has(self.template.spec.userData) && has(self.template.spec.userDataFrom))',
      message: 'only one of userData and userDataFrom may be set',
      field: 'spec.template.spec.userDataFrom',
      check: (value) => {
        const spec = readSpec(value)?.template?.spec;
        return spec?.userData === undefined || spec.userDataFrom === undefined;
      },
    },
    {
      at: ['spec'],
      cel: 'self.replicas + (has(self.standby) ? self.standby : 0) <= self.maxSize',
      message: 'replicas and standby together must be at most maxSize',
      field: 'spec.replicas',
      check: (value) => {
        const spec = readSpec(value);
        if (spec?.replicas === undefined || spec.maxSize === undefined) return true;
        return spec.replicas + (spec.standby ?? 0) <= spec.maxSize;
      },
    },
  ],
};
