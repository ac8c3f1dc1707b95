import { CloudError } from '../errors.js';
import type { NetworkDriver } from '../network-driver.js';
import type { VolumeDriver } from '../volume-driver.js';

const lacking = (service: string) => (): Promise<never> =>
  Promise.reject(new CloudError('Unsupported', `this cloud has no ${service} service`));
const network = lacking('network');
const volume = lacking('volume');

/** What is left of a driver's network where a cloud has none. */
export const UNFINISHED_NETWORK: NetworkDriver = {
  listPorts: network,
  createPorts: network,
  setPortGroups: network,
  disownPort: network,
  deletePort: network,
  attachPort: network,
  listSecurityGroups: network,
  createSecurityGroups: network,
  deleteSecurityGroup: network,
  createSecurityGroupRules: network,
  deleteSecurityGroupRule: network,
};

/** What is left of a driver's volumes where a cloud has none. */
export const UNFINISHED_VOLUMES: VolumeDriver = {
  listVolumes: volume,
  findVolumesByName: volume,
  getVolume: volume,
  createVolume: volume,
  deleteVolume: volume,
  extendVolume: volume,
  renameVolume: volume,
  setVolumeOwner: volume,
  attachVolume: volume,
  detachVolume: volume,
  listVolumeTypes: volume,
};
