import { v1Contract } from '../../contract/v1.js';
import { v1World } from '../../support/v1-world.js';

v1Contract(v1World);
