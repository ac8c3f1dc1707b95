import { type Command, Option } from 'commander';
import { SETTINGS } from '../config.js';

/** Adds flags of {@link SETTINGS}, each with its environment variable and default, to a command. */
export function addSettings(command: Command, ...names: (keyof typeof SETTINGS)[]): Command {
  for (const name of names) {
    const setting = SETTINGS[name];
    const option = new Option(setting.flags, setting.help).env(setting.env);
    command.addOption('default' in setting ? option.default(setting.default) : option);
  }
  return command;
}
