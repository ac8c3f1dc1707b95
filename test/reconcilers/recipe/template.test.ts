import { describe, expect, test } from '@jest/globals';
import { RecipeError } from '../../../src/reconcilers/recipe/errors.js';
import { checkUserData, renderUserData } from '../../../src/reconcilers/recipe/template.js';

const CONTRACT = {
  parameters: [{ name: 'greeting', default: 'hello' }],
  template: "#cloud-config\nruncmd: [[echo, '{{ greeting }}']]\n",
};
const of = (template: string, ...names: string[]) => ({ template, parameters: names.map((name) => ({ name })) });

/** The code and field of what is thrown. */
function refusal(act: () => unknown): string {
  try {
    return `none: ${String(act())}`;
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error;
    expect(error.told).toContain('To do: ');
    return `${error.code} ${error.field}`;
  }
}

describe('user data', () => {
  test.each([
    ['has the default where no value is given', CONTRACT, {}, "#cloud-config\nruncmd: [[echo, 'hello']]\n"],
    ['has the value that is given', CONTRACT, { greeting: 'ciao' }, "#cloud-config\nruncmd: [[echo, 'ciao']]\n"],
    ['may have an empty value', of('[{{ a }}]', 'a'), { a: '' }, '[]'],
    [
      'takes a value as text, though it looks like a template',
      of('{{ a }}', 'a'),
      { a: '{{ b }}{% include %}' },
      '{{ b }}{% include %}',
    ],
    ['may choose and repeat', of('{% if a == "x" %}{% for i in (1..2) %}{{ i }}{% endfor %}{% endif %}', 'a'), { a: 'x' }, '12'],
    ['may have names of its own', of('{% assign b = a | upcase %}{{ b }}', 'a'), { a: 'x' }, 'X'],
    ['may be without parameters', { template: '#cloud-config' }, {}, '#cloud-config'],
  ])('%s', (_sentence, userData, values, text) => {
    expect(renderUserData(userData, values)).toBe(text);
  });

  test.each([
    ['a value that nothing declares', CONTRACT, { other: 'x' }, 'ParameterUnknown spec.parameters.other'],
    ['a value that is missing', of('{{ a }}', 'a'), {}, 'ParameterMissing spec.parameters.a'],
    [
      'a name that objects have by themselves',
      of('{{ a }}', 'a'),
      { constructor: 'x' },
      'ParameterUnknown spec.parameters.constructor',
    ],
    [
      'a parameter named like that, without a value',
      of('{{ toString }}', 'toString'),
      {},
      'ParameterMissing spec.parameters.toString',
    ],
    [
      'a part that a text does not have',
      of('{{ a.constructor.name }}', 'a'),
      { a: 'x' },
      'TemplateInvalid spec.userData.template',
    ],
    ['too much of it', of('{{ a }}{{ a }}', 'a'), { a: 'x'.repeat(40_000) }, 'TooLong spec.userData.template'],
    ['too many bytes in few letters', of('{{ a }}', 'a'), { a: '€'.repeat(22_000) }, 'TooLong spec.userData.template'],
    ['an endless loop', of('{% for i in (1..100000000) %}{% endfor %}'), {}, 'TemplateInvalid spec.userData.template'],
  ])('is refused for %s', (_sentence, userData, values, code) => {
    expect(refusal(() => renderUserData(userData, values as Record<string, string>))).toBe(code);
  });
});

describe('a template', () => {
  test.each([
    ['that is not closed', of('{{ a', 'a'), 'TemplateInvalid'],
    ['with a name that no parameter declares', of('{{ a }}{{ b }}', 'a'), 'TemplateUndeclared'],
    ['with such a name inside of a tag', of('{% if b %}{% endif %}'), 'TemplateUndeclared'],
    ['with a parameter declared twice', of('{{ a }}', 'a', 'a'), 'ParameterTwice'],
    ['with a filter that is not there', of('{{ a | shell }}', 'a'), 'TemplateInvalid'],
    ...['include', 'render', 'layout'].map(
      (tag) => [`that would read another: ${tag}`, of(`{% ${tag} 'x' %}`), 'TemplateInvalid'] as const,
    ),
    ['that would be part of another', of('{% block x %}{% endblock %}'), 'TemplateInvalid'],
    ['that another text would come of each day', of('{{ "now" | date: "%s" }}'), 'TemplateInvalid'],
    ['that chance plays a part in', of('{{ a | split: "," | sample }}', 'a'), 'TemplateInvalid'],
  ])('%s is refused', (_sentence, userData, code) => {
    expect(checkUserData(userData).map((error) => error.code)).toEqual([code]);
  });

  test('is told by the name of what it may not use', () => {
    expect(checkUserData(of("{% include 'x' %}"))[0]?.message).toContain('include');
  });

  test('of the contract is right', () => {
    expect(checkUserData(CONTRACT)).toEqual([]);
  });
});
