import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { Environment } from '../../environment.js';
import { mergeConditions, type ProposedCondition } from '../../resources/conditions.js';
import type { ResourceKey } from '../../resources/metadata.js';
import { type RecipeStatus, recipeKind, recipeSpecSchema, recipeStatusSchema } from '../../resources/recipe.js';
import { sameJson } from '../../resources/same-json.js';
import { validate } from '../../resources/validate.js';
import { invalidSpec } from '../invalid-spec.js';
import type { Records } from '../records.js';
import { RECIPE_ERRORS, type RecipeError } from './errors.js';
import { checkUserData } from './template.js';

const OWNED: ReadonlySet<string> = new Set(['Ready', 'Reconciling', 'Stalled']);
const MOST_USERS = 64;

/** What the reconciler of Recipes works with. */
export interface RecipeTools {
  readonly records: Records;
  readonly environment: Environment;
}

/** Says of each Recipe whether it can be used, and which pools do. It changes nothing else. */
export class RecipeReconciler implements Reconciler {
  readonly kind = 'Recipe';

  constructor(private readonly tools: RecipeTools) {}

  async reconcile(key: ResourceKey): Promise<Outcome> {
    const { records, environment } = this.tools;
    const stored = records.get(key);
    if (!stored) return { kind: 'settled' };
    const { status, ...declared } = stored;
    const spec = recipeSpecSchema.safeParse(stored.spec);
    const errors = validate(recipeKind, declared);
    const known = recipeStatusSchema.safeParse(status ?? {}).data ?? {};
    const conditions =
      spec.success && errors.length === 0
        ? conditionsOf(spec.data.userData ? checkUserData(spec.data.userData) : [])
        : invalidSpec(errors);
    const { generation } = stored.metadata;
    const usedBy = records
      .poolsWithRecipe(key.namespace, key.name)
      .map(({ metadata }) => metadata.name)
      .sort()
      .slice(0, MOST_USERS);
    const { usedBy: _before, ...kept } = known;
    const next: RecipeStatus = {
      ...kept,
      observedGeneration: generation,
      conditions: mergeConditions(known.conditions ?? [], conditions, OWNED, generation, environment.now()),
      ...(usedBy.length > 0 ? { usedBy } : {}),
    };
    if (!sameJson(next, status ?? {})) await records.updateStatus({ ...stored, status: next });
    return { kind: 'settled' };
  }
}

function conditionsOf(problems: readonly RecipeError[]): ProposedCondition[] {
  const [first] = problems;
  if (!first) return [{ type: 'Ready', status: 'True', reason: 'RecipeReady', message: 'pools can use it' }];
  const message = problems.map(({ field, message }) => `${field}: ${message}`).join('; ');
  const said = { reason: first.code, message: `${message}. To do: ${RECIPE_ERRORS[first.code].advice}` };
  return [
    { type: 'Ready', status: 'False', ...said },
    { type: 'Stalled', status: 'True', ...said },
  ];
}
