/// Applies the masking key to `buf` in place; doing it twice restores the bytes.
///
/// `offset` is the position of `buf` inside the payload, so that a payload may be masked in pieces.
///
/// # Wire format
///
/// RFC 6455 §5.3: byte `i` of the payload is XORed with byte `i mod 4` of the key.
#[inline]
pub fn apply_mask(buf: &mut [u8], key: [u8; 4], offset: usize) {
    let key = rotated(key, offset);
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);

    // A plain loop over words is all it takes: the compiler turns it into vector instructions, and
    // hand-written ones were measured to gain nothing at the sizes that matter.
    let (words, rest) = buf.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    // The words took a multiple of four bytes, so the rest starts at the first byte of the key again.
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The key, beginning with the byte that is due at `offset`.
fn rotated(key: [u8; 4], offset: usize) -> [u8; 4] {
    let bits = [0, 8, 16, 24][offset % 4];
    u32::from_le_bytes(key).rotate_right(bits).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn key_repeats_every_four_bytes() {
        let mut buf = [0; 11];
        apply_mask(&mut buf, [1, 2, 3, 4], 0);
        assert_eq!(buf, [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3]);
    }

    #[test]
    fn offset_continues_the_key() {
        let mut buf = [0; 3];
        apply_mask(&mut buf, [1, 2, 3, 4], 6);
        assert_eq!(buf, [3, 4, 1]);
    }

    proptest! {
        #[test]
        fn pieces_mask_like_the_whole(
            data: Vec<u8>, key: [u8; 4], at: proptest::sample::Index,
        ) {
            let expected: Vec<u8> =
                data.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            let at = if data.is_empty() { 0 } else { at.index(data.len()) };
            let mut pieces = data;
            let (head, tail) = pieces.split_at_mut(at);
            apply_mask(head, key, 0);
            apply_mask(tail, key, at);
            prop_assert_eq!(pieces, expected);
        }
    }
}
