// The arrows of docs/architecture.md, as a check. A folder may import what stands to its right, and nothing else:
// main, commands, dispatcher -> api, reconcilers -> controllers, clouds, cistern, store -> resources, environment
const only = (from, ...to) => ({
  name: `${from.replaceAll('/', '-')}-imports`,
  severity: 'error',
  comment: `src/${from} may import only ${[from, ...to].join(', ')}`,
  from: { path: `^src/${from}(/|\\.ts$)` },
  to: { path: '^src/', pathNot: [from, ...to].map((folder) => `^src/${folder}(/|\\.ts$)`) },
});

export default {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-dead-ends',
      severity: 'error',
      comment: 'an import that leads nowhere',
      from: {},
      to: { couldNotResolve: true, pathNot: '^src/generated' },
    },
    only('environment'),
    only('config', 'resources'),
    only('resources', 'environment'),
    only('store', 'resources', 'environment', 'generated'),
    only('controllers', 'store', 'resources', 'environment'),
    only('clouds', 'resources', 'environment'),
    only('cistern', 'environment'),
    only('reconcilers', 'controllers', 'clouds', 'cistern', 'store', 'resources', 'environment'),
    only('api', 'store', 'resources', 'environment'),
    {
      name: 'plans-are-pure',
      severity: 'error',
      comment: 'plan.ts imports types, and pure functions of src/resources and its own folder; never anything with an effect',
      from: { path: '^src/reconcilers/.*/plan\\.ts$' },
      to: {
        pathNot: [
          '^src/resources/',
          '^src/reconcilers/',
          '^src/clouds/(driver|network-driver|volume-driver|errors|observer)\\.ts$',
          '^src/cistern/(protocol|errors|inventory)\\.ts$',
        ],
      },
    },
    {
      name: 'drivers-know-no-resource',
      severity: 'error',
      from: { path: '^src/clouds/' },
      to: { path: '^src/resources/' },
    },
    {
      name: 'one-transport',
      severity: 'error',
      comment: 'HTTP to clouds goes through one file',
      from: { path: '^src/clouds/', pathNot: '^src/clouds/transport\\.ts$' },
      to: { path: '^(axios|undici)$|node_modules/(axios|undici)/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/generated' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'], conditionNames: ['import', 'types', 'default'] },
  },
};
