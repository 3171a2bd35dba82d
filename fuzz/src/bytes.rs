//! Reading a fuzzer's input.

/// Takes the first byte off, for choices; 0 if there is none.
pub fn choice<'a>(data: &mut &'a [u8]) -> u8 {
    let (&first, rest): (&u8, &'a [u8]) = data.split_first().unwrap_or((&0, &[]));
    *data = rest;
    first
}

/// Endless sizes from 1 to `max`, the same ones for the same seed. Small ones are the most likely.
pub fn sizes(seed: u8, max: usize) -> impl Iterator<Item = usize> {
    let mut state = u32::from(seed) | 0x1_0000;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let limit = if state & 3 == 0 { max } else { 3.min(max) };
        1 + (state >> 2) as usize % limit
    })
}
