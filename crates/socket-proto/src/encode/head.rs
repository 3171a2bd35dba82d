//! The head of a packet, written backwards.

use crate::packet_type::PacketType;

/// Room for everything in the head but the namespace: type, count with its hyphen, comma, acknowledgement id.
const MAX_FIXED: usize = 1 + (MAX_DIGITS + 1) + 1 + MAX_DIGITS;

/// Decimal digits of the largest `u64`.
const MAX_DIGITS: usize = 20;

/// Clears `buf`, leaves room for `headroom` bytes and the longest head, and returns where the JSON begins.
pub(super) fn open(buf: &mut Vec<u8>, headroom: usize, namespace: &str) -> usize {
    let body = headroom + MAX_FIXED + namespace.len();
    buf.clear();
    buf.resize(body, 0);
    body
}

/// A cursor that moves from the JSON towards the front.
pub(super) struct Head<'a> {
    buf: &'a mut [u8],
    at: usize,
}

impl<'a> Head<'a> {
    pub(super) fn new(buf: &'a mut [u8], body: usize) -> Self {
        Self { buf, at: body }
    }

    /// Writes the whole head and returns where it begins.
    pub(super) fn write(
        mut self,
        kind: PacketType,
        attachments: Option<usize>,
        namespace: &str,
        ack_id: Option<u64>,
    ) -> usize {
        if let Some(id) = ack_id {
            self.number(id);
        }
        if namespace != "/" {
            self.bytes(b",");
            self.bytes(namespace.as_bytes());
        }
        if let Some(count) = attachments {
            self.bytes(b"-");
            self.number(count as u64);
        }
        self.bytes(&[kind.digit()]);
        self.at
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at;
        self.at -= bytes.len();
        self.buf[self.at..end].copy_from_slice(bytes);
    }

    fn number(&mut self, mut number: u64) {
        loop {
            let digit = u8::try_from(number % 10).expect("a decimal digit fits");
            self.bytes(&[b'0' + digit]);
            number /= 10;
            if number == 0 {
                break;
            }
        }
    }
}
