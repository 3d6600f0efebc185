# Machine-readable twin of FORMAT.md, for https://kaitai.io. Tokens inside event blocks depend on the predictor and are
# not described here: FORMAT.md, section 3.
meta:
  id: chronovisor_log
  title: Chronovisor log, format 1.0
  file-extension: cvlog
  endian: le
  encoding: UTF-8
doc: Header, blocks, footer. A log whose writer was killed has no footer.
seq:
  - id: header
    type: file_header
  - id: sections
    type: section
    repeat: eos
types:
  file_header:
    seq:
      - id: magic
        contents: [0x89, CVLOG, 0x0d, 0x0a]
      - id: major
        type: u2
        doc: a reader refuses more than 1
      - id: minor
        type: u2
      - id: len_json
        type: u4
        valid:
          max: 1048576
      - id: crc
        type: u4
        doc: CRC-32C of bytes 0 to 15 and the JSON
      - id: json
        type: str
        size: len_json
  section:
    seq:
      - id: magic
        type: u4
        enum: section_magic
      - id: body
        type:
          switch-on: magic
          cases:
            'section_magic::block': block
            'section_magic::footer': footer
  block:
    seq:
      - id: type
        type: u1
        enum: block_type
      - id: flags
        type: u1
        doc: bit 0 optional, bit 1 compressed (reserved)
      - id: reserved
        contents: [0, 0]
      - id: sequence
        type: u4
      - id: len_payload
        type: u4
        valid:
          min: 1
          max: 65456
      - id: first_position
        type: u8
      - id: last_position
        type: u8
      - id: time_offset_ns
        type: u8
      - id: first_record
        type: u8
      - id: counts
        type: u2
        repeat: expr
        repeat-expr: 12
        doc: records by kind
      - id: payload_crc
        type: u4
      - id: header_crc
        type: u4
        doc: CRC-32C of the 76 bytes before, magic included
      - id: payload
        size: len_payload
        type:
          switch-on: type
          cases:
            'block_type::image': image_chunk
  image_chunk:
    seq:
      - id: sha256
        size: 32
      - id: len_image
        type: u8
      - id: offset
        type: u8
      - id: chunk
        size-eos: true
  footer:
    seq:
      - id: num_blocks
        type: u4
      - id: records
        type: u8
      - id: last_position
        type: u8
      - id: index
        type: index_entry
        repeat: expr
        repeat-expr: num_blocks
      - id: footer_offset
        type: u8
      - id: len_footer
        type: u4
        doc: 24 + 72 * num_blocks
      - id: crc
        type: u4
        doc: CRC-32C from the footer's magic to here
      - id: end_magic
        contents: [0x89, CVEND, 0x0d, 0x0a]
  index_entry:
    seq:
      - id: offset
        type: u8
      - id: first_position
        type: u8
      - id: last_position
        type: u8
      - id: time_offset_ns
        type: u8
      - id: first_record
        type: u8
      - id: len_payload
        type: u4
      - id: type
        type: u1
        enum: block_type
      - id: flags
        type: u1
      - id: reserved
        type: u2
      - id: counts
        type: u2
        repeat: expr
        repeat-expr: 12
enums:
  section_magic:
    0x4b425643: block
    0x58495643: footer
  block_type:
    1: events
    2: image
    3: checkpoint
  record_kind:
    1: input
    2: exit
    3: interrupt
    4: device
    5: idle
    6: dirty
    7: digest
    8: mark
    9: end
    10: counts
