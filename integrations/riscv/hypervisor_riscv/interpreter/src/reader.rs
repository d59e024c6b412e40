//! Messages from Python: little-endian numbers, and data after its size.

pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn take(&mut self, size: usize) -> &'a [u8] {
        let (data, rest) = self.0.split_at(size);
        self.0 = rest;
        data
    }

    pub fn array<const SIZE: usize>(&mut self) -> [u8; SIZE] {
        let mut data = [0; SIZE];
        data.copy_from_slice(self.take(SIZE));
        data
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub fn list(&mut self) -> &'a [u8] {
        let size = self.u32() as usize;
        self.take(size)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
