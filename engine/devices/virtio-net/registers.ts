/** The network device: virtio 1.2, section 5.1. */

/** Feature bits (5.1.3). */
export const F_MTU = 3;
export const F_MAC = 5;

/** Queues (5.1.2). */
export const QUEUE_RECEIVE = 0;
export const QUEUE_TRANSMIT = 1;

/** struct virtio_net_hdr (5.1.6), bytes: u8 flags, u8 gso_type, u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers. */
export const HEADER_BYTES = 12;
export const HEADER_NUM_BUFFERS = 10;

/** Configuration space (5.1.4), bytes: u8 mac[6], u16 status, u16 max_virtqueue_pairs, u16 mtu. */
export const CONFIG_MAC = 0;
export const CONFIG_MTU = 10;
export const CONFIG_BYTES = 12;
