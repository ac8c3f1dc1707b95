import { Liquid, LiquidError, type Template } from 'liquidjs';
import type { RecipeSpec } from '../../resources/recipe.js';
import { RecipeError } from './errors.js';

type UserData = NonNullable<RecipeSpec['userData']>;

/** What a cloud takes. */
const MOST_BYTES = 65_535;
const RENDER_MS = 1_000;
const MEMORY = 16 * 1024 * 1024;

/** They would read other templates, and there are none. */
const TAGS_WITHOUT = ['include', 'render', 'layout', 'block'];
/** The same values must give the same text at all times: another one means that every machine is outdated. */
const FILTERS_WITHOUT = ['date', 'date_to_xmlschema', 'date_to_rfc822', 'date_to_string', 'date_to_long_string', 'sample'];

const engine = new Liquid({
  templates: {},
  strictVariables: true,
  strictFilters: true,
  ownPropertyOnly: true,
  parseLimit: 2 * MOST_BYTES,
  renderLimit: RENDER_MS,
  memoryLimit: MEMORY,
});
for (const tag of TAGS_WITHOUT) delete engine.tags[tag];
for (const filter of FILTERS_WITHOUT) delete engine.filters[filter];

/** What is wrong with the user data of a recipe, whatever the values will be: an empty list if nothing is. Fields are the recipe's. */
export function checkUserData(userData: UserData): RecipeError[] {
  const names = (userData.parameters ?? []).map(({ name }) => name);
  const twice = names.flatMap((name, index) =>
    names.indexOf(name) === index
      ? []
      : [new RecipeError('ParameterTwice', `spec.userData.parameters[${index}].name`, `"${name}" is declared twice`)],
  );
  try {
    const undeclared = engine.globalVariablesSync(parse(userData)).filter((name) => !names.includes(name));
    return [
      ...twice,
      ...undeclared.map(
        (name) => new RecipeError('TemplateUndeclared', 'spec.userData.template', `no parameter declares "${name}"`),
      ),
    ];
  } catch (error) {
    if (error instanceof RecipeError) return [...twice, error];
    throw error;
  }
}

/**
 * The user data of a machine: the template with the values in place of its parameters. The same input gives the same text at all times.
 * @param values by the name of a parameter; where there is none, its default counts.
 * @throws RecipeError the first thing that is wrong.
 */
export function renderUserData(userData: UserData, values: Readonly<Record<string, string>>): string {
  const [problem] = checkUserData(userData);
  if (problem) throw problem;
  const text = render(userData, valuesFor(userData, values));
  const bytes = Buffer.byteLength(text);
  if (bytes > MOST_BYTES) throw new RecipeError('TooLong', 'spec.userData.template', `it makes ${bytes} bytes of user data`);
  return text;
}

/** The value of each declared parameter. @throws RecipeError for one that is missing, and for a value that nothing declares. */
export function valuesFor(
  userData: UserData | undefined,
  values: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const declared = userData?.parameters ?? [];
  for (const name of Object.keys(values)) {
    if (!declared.some((one) => one.name === name))
      throw new RecipeError('ParameterUnknown', `spec.parameters.${name}`, 'the Recipe declares no such parameter');
  }
  const entries = declared.map((one) => {
    const value = Object.hasOwn(values, one.name) ? values[one.name] : one.default;
    if (value === undefined)
      throw new RecipeError('ParameterMissing', `spec.parameters.${one.name}`, 'the Recipe demands a value for it');
    return [one.name, value] as const;
  });
  return Object.fromEntries(entries);
}

function parse({ template }: UserData): Template[] {
  return explained(() => engine.parse(template));
}

function render(userData: UserData, values: Readonly<Record<string, string>>): string {
  return explained(() => String(engine.renderSync(parse(userData), { ...values })));
}

function explained<Result>(act: () => Result): Result {
  try {
    return act();
  } catch (cause) {
    if (!LiquidError.is(cause)) throw cause;
    // Of its texts only this one: the others quote the template's lines, and what was put there.
    throw new RecipeError('TemplateInvalid', 'spec.userData.template', cause.message, { cause });
  }
}
