/** What can be wrong with a recipe or with what a pool hands to it, and what to do. The one table of this folder. */
export const RECIPE_ERRORS = {
  ParameterUnknown: { advice: 'declare it in the userData.parameters of the Recipe, or leave it out' },
  ParameterMissing: { advice: 'give it a value, or a default in the Recipe' },
  ParameterTwice: { advice: 'take one of the two away' },
  TemplateInvalid: { advice: 'correct the template' },
  TemplateUndeclared: { advice: 'declare it in userData.parameters, or correct its name' },
  TooLong: { advice: 'shorten the template or the values: a cloud takes 65535 bytes of user data' },
} as const;

/** The codes of {@link RECIPE_ERRORS}. */
export type RecipeErrorCode = keyof typeof RECIPE_ERRORS;

/** What is wrong with a recipe, or with the values that a pool gives it. Names fields, never the value of a parameter. */
export class RecipeError extends Error {
  override readonly name = 'RecipeError';
  constructor(
    readonly code: RecipeErrorCode,
    /** Which field: of the pool for {@link ofPool}, else of the recipe. */
    readonly field: string,
    message: string,
    options: ErrorOptions = {},
  ) {
    super(message, options);
  }

  /** True if the pool has to be changed, and not the recipe. */
  get ofPool(): boolean {
    return this.code === 'ParameterUnknown' || this.code === 'ParameterMissing';
  }

  /** One sentence for a person: field, what is wrong, what to do. */
  get told(): string {
    return `${this.field}: ${this.message}. To do: ${RECIPE_ERRORS[this.code].advice}`;
  }
}
