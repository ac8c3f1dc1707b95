import { Command, Option } from 'commander';
import { FilePersistence } from '../clouds/simulator/file-persistence.js';
import { KNOB_HELP, knobsSchema } from '../clouds/simulator/knobs.js';
import { startSimulator } from '../clouds/simulator/simulator.js';
import { readConfig, simulateSchema } from '../config.js';
import { systemEnvironment } from '../environment.js';
import { addSettings } from './options.js';
import { openLog } from './serving/log.js';
import { runUntilStopped } from './serving/shutdown.js';

const HELP = `
Users: demo (password demo-secret, project demo) and admin (admin-secret, project admin), in the domain Default.
Images cirros-fake, flavors m1.tiny to m1.xlarge, networks demo-net and public. For the stock client:

  export OS_AUTH_URL=http://127.0.0.1:5099/identity/v3 OS_USERNAME=demo OS_PASSWORD=demo-secret OS_PROJECT_NAME=demo
  export OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default OS_IDENTITY_API_VERSION=3
  openstack server list

GET /knobs and PUT /knobs (a JSON object) read and turn the knobs while it runs; GET /calls counts what was asked.`;

/** `dispatcher simulate`. */
export function command(): Command {
  const simulate = new Command('simulate')
    .requiredOption('--listen <HOST:PORT>', 'where it is served, such as 127.0.0.1:5099; port 0: any free one')
    .option('--state-file <FILE>', 'where the simulated cloud is kept (default: nowhere; it begins empty each time)')
    .description('Serves a simulated OpenStack (Keystone, Nova, Glance, Neutron, Cinder), and nothing else, until stopped.')
    .addHelpText('after', HELP);
  for (const knob of KNOB_HELP) {
    simulate.addOption(new Option(`${knob.flag} <NUMBER>`, knob.help).default(String(knob.default)));
  }
  return addSettings(simulate, 'logFormat', 'logLevel').action(run);
}

async function run(values: Record<string, string>): Promise<void> {
  const { listen, stateFile, ...logging } = readConfig(simulateSchema, values);
  const given = KNOB_HELP.map(({ name }) => [name, numberOf(values[name])]);
  const knobs = readConfig(knobsSchema, Object.fromEntries(given));
  const log = await openLog(logging);
  const start = async () => {
    const persistence = stateFile === undefined ? undefined : new FilePersistence(stateFile);
    const kept = persistence === undefined ? {} : { persistence };
    const simulator = await startSimulator({ ...listen, ...kept, knobs, environment: systemEnvironment, log });
    const close = async () => {
      await simulator.close();
      await persistence?.close();
    };
    return { ended: new Promise<void>(() => undefined), close };
  };
  process.exitCode = await runUntilStopped(start, log);
}

/** Not a number where Number() would see one in an empty text. */
function numberOf(text: string | undefined): number {
  return text?.trim() ? Number(text) : Number.NaN;
}
