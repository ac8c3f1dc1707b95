import { Command } from 'commander';

/** The commands. Each is loaded only if it is meant: some bring heavy libraries, and `version` must be quick. */
const COMMANDS: Readonly<Record<string, { help: string; load: () => Promise<{ command: () => Command }> }>> = {
  serve: {
    help: 'keep the machines as declared, and serve the APIs, until stopped',
    load: () => import('./commands/serve.js'),
  },
  demo: {
    help: 'serve with sample machines on a simulated cloud, and show how they converge',
    load: () => import('./commands/demo.js'),
  },
  kubeconfig: { help: 'print a kubeconfig for the running server', load: () => import('./commands/kubeconfig.js') },
  token: { help: 'issue, list and revoke API tokens', load: () => import('./commands/token.js') },
  user: { help: 'make, list, disable and delete users of the API', load: () => import('./commands/user.js') },
  audit: { help: 'print who asked for which changes', load: () => import('./commands/audit.js') },
  simulate: { help: 'serve a simulated OpenStack, and nothing else', load: () => import('./commands/simulate.js') },
  version: { help: 'print the version', load: () => import('./commands/version.js') },
};

async function program(): Promise<Command> {
  const root = new Command('dispatcher').description('Keeps a fleet of virtual machines the way people declared it.');
  const meant = process.argv.slice(2).find((argument) => Object.hasOwn(COMMANDS, argument));
  for (const [name, { help, load }] of Object.entries(COMMANDS)) {
    const command = name === meant ? (await load()).command() : new Command(name);
    root.addCommand(command.description(command.description() || help).summary(help));
  }
  return root.showHelpAfterError('(run the command with --help to see what it takes)');
}

// Timers of ours do not keep a process alive; a command does, until it ends.
const alive = setInterval(() => undefined, 2 ** 30);
try {
  await (await program()).parseAsync();
} catch (error) {
  const { describeFailure } = await import('./commands/failure.js');
  process.stderr.write(`dispatcher: ${describeFailure(error)}\n`);
  process.exitCode = 1;
}
clearInterval(alive);
process.exit();
