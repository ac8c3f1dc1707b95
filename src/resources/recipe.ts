import { z } from 'zod';
import { conditionSchema } from './conditions.js';
import { duration } from './duration.js';
import { type KindDefinition, readyPath } from './kind.js';
import { GROUP, type Typed, VERSION } from './metadata.js';
import { virtualMachineSpecSchema } from './virtual-machine.js';

/** What a machine is wanted for: `galaxy`, `RStudio 4`. */
export const applicationName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[^\p{Cc}]+$/u, 'must be without control characters');

/** The name of a parameter, in a template `{{ name }}`. */
const parameterName = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be letters, digits and "_", and not begin with a digit');

const parameterValue = z.string().max(16_384);

/** Values for a recipe's parameters, by name. */
export const parametersSchema = z.record(parameterName, parameterValue).meta({ maxProperties: 64 });

const { image, flavor, keyName, networks, metadata, tags } = virtualMachineSpecSchema.shape;

export const recipeSpecSchema = z.strictObject({
  image,
  flavor,
  keyName,
  networks,
  metadata,
  tags,
  applications: z
    .array(applicationName)
    .min(1)
    .max(64)
    .describe('The applications that its machines serve: what an assignment names.'),
  userData: z
    .strictObject({
      parameters: z
        .array(
          z.strictObject({
            name: parameterName,
            default: parameterValue.optional().describe('Its value where none is given. Without one, a value must be given.'),
            description: z.string().max(1024).optional(),
          }),
        )
        .max(64)
        .optional()
        .describe('The names that the template may use.'),
      template: z
        .string()
        .max(65_535)
        .describe('cloud-init user data in which {{ name }} stands for a parameter: a Liquid template without includes.'),
    })
    .optional(),
  readiness: z
    .strictObject({
      delay: duration
        .optional()
        .describe(
          'How long after its server was first seen running a machine counts as ready, for what it does at boot. Default 0s.',
        ),
    })
    .optional()
    .describe('When a machine is ready to be given to a user.'),
});

export const recipeStatusSchema = z.strictObject({
  observedGeneration: z.int().nonnegative().optional(),
  conditions: z.array(conditionSchema).max(32).optional(),
  usedBy: z.array(z.string().max(253)).max(64).optional().describe('The pools of this namespace that use it, at most 64.'),
});

export type RecipeSpec = z.infer<typeof recipeSpecSchema>;
export type RecipeStatus = z.infer<typeof recipeStatusSchema>;
export type Recipe = Typed<RecipeSpec, RecipeStatus>;

const namesSchema = z.looseObject({ parameters: z.array(z.looseObject({ name: z.string() })) });

export const recipeKind: KindDefinition = {
  group: GROUP,
  version: VERSION,
  kind: 'Recipe',
  plural: 'recipes',
  singular: 'recipe',
  shortNames: [],
  categories: ['dispatcher'],
  namespaced: true,
  description: 'What a machine of an application is made from.',
  schema: z.strictObject({ spec: recipeSpecSchema, status: recipeStatusSchema.optional() }),
  statusSubresource: true,
  printerColumns: [
    { name: 'Ready', type: 'string', jsonPath: readyPath('status'), description: 'Whether it can be used' },
    { name: 'Reason', type: 'string', jsonPath: readyPath('reason'), description: 'Why' },
    { name: 'Image', type: 'string', jsonPath: '.spec.image', description: 'The image' },
    { name: 'Flavor', type: 'string', jsonPath: '.spec.flavor', description: 'The flavor' },
    {
      name: 'Application',
      type: 'string',
      jsonPath: '.spec.applications[0]',
      description: 'The first application that it serves',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
    { name: 'Message', type: 'string', jsonPath: readyPath('message'), description: 'The whole reason', priority: 1 },
  ],
  rules: [
    {
      at: ['spec', 'userData'],
      cel: '!has(self.parameters) || self.parameters.all(one, self.parameters.exists_one(other, other.name == one.name))',
      message: 'no two parameters may have the same name',
      field: 'spec.userData.parameters',
      check: (value) => {
        const names = namesSchema.safeParse(value).data?.parameters.map(({ name }) => name) ?? [];
        return new Set(names).size === names.length;
      },
    },
  ],
};
