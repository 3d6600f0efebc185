/** The console device: virtio 1.2, section 5.3. */

/** Feature bits (5.3.3). MULTIPORT (1) is not offered: there is one port. */
export const F_SIZE = 0;
export const F_EMERGENCY_WRITE = 2;

/** Queues of port 0 (5.3.2). */
export const QUEUE_RECEIVE = 0;
export const QUEUE_TRANSMIT = 1;

/** Configuration space (5.3.4), bytes: u16 cols, u16 rows, u32 max_nr_ports, u32 emerg_wr. */
export const CONFIG_COLUMNS = 0;
export const CONFIG_ROWS = 2;
export const CONFIG_MAX_PORTS = 4;
export const CONFIG_EMERGENCY_WRITE = 8;
export const CONFIG_BYTES = 12;
