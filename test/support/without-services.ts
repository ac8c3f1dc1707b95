import { CloudError } from '../../src/clouds/errors.js';
import type { NetworkDriver } from '../../src/clouds/network-driver.js';
import type { VolumeDriver } from '../../src/clouds/volume-driver.js';

/** What a driver has of network and volumes in a cloud that has servers only: to be built upon. */
export class WithoutServices implements NetworkDriver, VolumeDriver {
  listPorts(..._: Parameters<NetworkDriver['listPorts']>): ReturnType<NetworkDriver['listPorts']> {
    return lacking('network');
  }
  createPorts(..._: Parameters<NetworkDriver['createPorts']>): ReturnType<NetworkDriver['createPorts']> {
    return lacking('network');
  }
  setPortGroups(..._: Parameters<NetworkDriver['setPortGroups']>): ReturnType<NetworkDriver['setPortGroups']> {
    return lacking('network');
  }
  disownPort(..._: Parameters<NetworkDriver['disownPort']>): ReturnType<NetworkDriver['disownPort']> {
    return lacking('network');
  }
  deletePort(..._: Parameters<NetworkDriver['deletePort']>): ReturnType<NetworkDriver['deletePort']> {
    return lacking('network');
  }
  attachPort(..._: Parameters<NetworkDriver['attachPort']>): ReturnType<NetworkDriver['attachPort']> {
    return lacking('network');
  }
  listSecurityGroups(..._: Parameters<NetworkDriver['listSecurityGroups']>): ReturnType<NetworkDriver['listSecurityGroups']> {
    return lacking('network');
  }
  createSecurityGroups(
    ..._: Parameters<NetworkDriver['createSecurityGroups']>
  ): ReturnType<NetworkDriver['createSecurityGroups']> {
    return lacking('network');
  }
  deleteSecurityGroup(..._: Parameters<NetworkDriver['deleteSecurityGroup']>): ReturnType<NetworkDriver['deleteSecurityGroup']> {
    return lacking('network');
  }
  createSecurityGroupRules(
    ..._: Parameters<NetworkDriver['createSecurityGroupRules']>
  ): ReturnType<NetworkDriver['createSecurityGroupRules']> {
    return lacking('network');
  }
  deleteSecurityGroupRule(
    ..._: Parameters<NetworkDriver['deleteSecurityGroupRule']>
  ): ReturnType<NetworkDriver['deleteSecurityGroupRule']> {
    return lacking('network');
  }
  listVolumes(..._: Parameters<VolumeDriver['listVolumes']>): ReturnType<VolumeDriver['listVolumes']> {
    return lacking('volume');
  }
  findVolumesByName(..._: Parameters<VolumeDriver['findVolumesByName']>): ReturnType<VolumeDriver['findVolumesByName']> {
    return lacking('volume');
  }
  getVolume(..._: Parameters<VolumeDriver['getVolume']>): ReturnType<VolumeDriver['getVolume']> {
    return lacking('volume');
  }
  createVolume(..._: Parameters<VolumeDriver['createVolume']>): ReturnType<VolumeDriver['createVolume']> {
    return lacking('volume');
  }
  deleteVolume(..._: Parameters<VolumeDriver['deleteVolume']>): ReturnType<VolumeDriver['deleteVolume']> {
    return lacking('volume');
  }
  extendVolume(..._: Parameters<VolumeDriver['extendVolume']>): ReturnType<VolumeDriver['extendVolume']> {
    return lacking('volume');
  }
  renameVolume(..._: Parameters<VolumeDriver['renameVolume']>): ReturnType<VolumeDriver['renameVolume']> {
    return lacking('volume');
  }
  setVolumeOwner(..._: Parameters<VolumeDriver['setVolumeOwner']>): ReturnType<VolumeDriver['setVolumeOwner']> {
    return lacking('volume');
  }
  attachVolume(..._: Parameters<VolumeDriver['attachVolume']>): ReturnType<VolumeDriver['attachVolume']> {
    return lacking('volume');
  }
  detachVolume(..._: Parameters<VolumeDriver['detachVolume']>): ReturnType<VolumeDriver['detachVolume']> {
    return lacking('volume');
  }
  listVolumeTypes(..._: Parameters<VolumeDriver['listVolumeTypes']>): ReturnType<VolumeDriver['listVolumeTypes']> {
    return lacking('volume');
  }
}

function lacking(service: string): Promise<never> {
  return Promise.reject(new CloudError('Unsupported', `this cloud has no ${service} service`));
}
