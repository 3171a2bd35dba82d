//! Pictures on their way in, and those that are kept.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::rules::{MAX_ALBUM, MAX_CHUNK, MAX_UPLOADS, PictureType, Refusal};
use crate::shapes::Content;

/// The pictures that are being uploaded, one for each socket at most.
///
/// All of them together hold [`MAX_UPLOADS`] bytes at most. When that is full, the upload that
/// has rested longest makes room: whoever begins many and goes on with none does not keep the
/// others from theirs.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    by_socket: HashMap<String, Upload>,
    bytes: usize,
    /// Counts chunks and starts, to tell which upload has rested longest.
    clock: u64,
}

/// A picture that is not complete.
#[derive(Debug)]
pub(crate) struct Upload {
    number: u64,
    /// Where it was when it began; the room may have been forgotten since.
    pub(crate) room: String,
    pub(crate) name: String,
    pub(crate) kind: PictureType,
    size: usize,
    pub(crate) data: Vec<u8>,
    touched: u64,
}

/// How an upload stands after a chunk.
#[derive(Debug)]
pub(crate) enum Progress {
    /// So many bytes are there.
    Received(usize),
    /// All are there, and begin like a picture of their type.
    Complete(Upload),
}

impl Uploads {
    /// Begins one, and drops the one that this socket had under way. Returns its number.
    pub(crate) fn start(
        &mut self,
        socket: &str,
        room: &str,
        name: &str,
        kind: PictureType,
        size: usize,
    ) -> u64 {
        self.drop_of(socket);
        self.clock += 1;
        let upload = Upload {
            number: self.clock,
            room: room.to_owned(),
            name: name.to_owned(),
            kind,
            size,
            data: Vec::new(),
            touched: self.clock,
        };
        self.by_socket.insert(socket.to_owned(), upload);
        self.clock
    }

    /// Adds a chunk. After a refusal the socket has no upload any more.
    pub(crate) fn add(
        &mut self,
        socket: &str,
        number: u64,
        offset: u64,
        chunk: &[u8],
    ) -> Result<Progress, Refusal> {
        // It is taken out first, so that whatever goes wrong drops it.
        let mut upload = self.take(socket).ok_or(Refusal::UnknownUpload)?;
        if upload.number != number {
            return Err(Refusal::UnknownUpload);
        }
        let received = upload.data.len();
        let fits = !chunk.is_empty() && chunk.len() <= MAX_CHUNK.min(upload.size - received);
        if offset != received as u64 || !fits {
            return Err(Refusal::Chunk);
        }
        upload.data.extend_from_slice(chunk);
        if upload.data.len() < upload.size {
            let received = upload.data.len();
            self.put_back(socket, upload);
            Ok(Progress::Received(received))
        } else if upload.kind.begins(&upload.data) {
            Ok(Progress::Complete(upload))
        } else {
            Err(Refusal::PictureContent)
        }
    }

    /// Drops the upload of a socket, if it has one.
    pub(crate) fn drop_of(&mut self, socket: &str) {
        self.take(socket);
    }

    fn take(&mut self, socket: &str) -> Option<Upload> {
        let upload = self.by_socket.remove(socket)?;
        self.bytes -= upload.data.len();
        Some(upload)
    }

    fn put_back(&mut self, socket: &str, mut upload: Upload) {
        while self.bytes + upload.data.len() > MAX_UPLOADS {
            // This runs only while dozens are under way, so a look at each of them will do.
            let holding = self.by_socket.iter().filter(|(_, it)| !it.data.is_empty());
            let Some((rested, _)) = holding.min_by_key(|(_, it)| it.touched) else {
                break;
            };
            let rested = rested.clone();
            self.drop_of(&rested);
        }
        self.clock += 1;
        upload.touched = self.clock;
        self.bytes += upload.data.len();
        self.by_socket.insert(socket.to_owned(), upload);
    }
}

/// The pictures of the messages that are remembered, by id.
///
/// All of them together have [`MAX_ALBUM`] bytes at most; the oldest go first.
#[derive(Debug, Default)]
pub(crate) struct Album {
    pictures: BTreeMap<u64, Content>,
    bytes: usize,
}

impl Album {
    /// Keeps a picture. Ids must rise.
    pub(crate) fn keep(&mut self, id: u64, kind: PictureType, data: Bytes) {
        self.forget(id);
        while self.bytes + data.len() > MAX_ALBUM {
            let Some((_, oldest)) = self.pictures.pop_first() else {
                break;
            };
            self.bytes -= oldest.data.len();
        }
        self.bytes += data.len();
        self.pictures.insert(id, Content { kind, data });
    }

    /// The picture of this id.
    pub(crate) fn find(&self, id: u64) -> Result<Content, Refusal> {
        let Content { kind, data } = self.pictures.get(&id).ok_or(Refusal::UnknownPicture)?;
        Ok(Content {
            kind: *kind,
            data: data.clone(),
        })
    }

    /// Forgets a picture, if it is there.
    pub(crate) fn forget(&mut self, id: u64) {
        if let Some(content) = self.pictures.remove(&id) {
            self.bytes -= content.data.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::MAX_PICTURE;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nand so on";

    fn start(uploads: &mut Uploads, socket: &str, size: usize) -> u64 {
        uploads.start(socket, "lobby", "a.png", PictureType::Png, size)
    }

    #[test]
    fn chunks_in_order_make_a_picture() {
        let mut uploads = Uploads::default();
        let number = start(&mut uploads, "a", PNG.len());
        let first = uploads.add("a", number, 0, &PNG[..5]).unwrap();
        assert!(matches!(first, Progress::Received(5)));
        let last = uploads.add("a", number, 5, &PNG[5..]).unwrap();
        assert!(matches!(last, Progress::Complete(upload) if upload.data == PNG));
        assert_eq!(uploads.bytes, 0);
    }

    #[test]
    fn upload_ends_with_the_first_refusal() {
        let long = vec![0; MAX_CHUNK + 1];
        let wrong: [(u64, &[u8]); 4] = [(1, b"x"), (0, b""), (0, b"more than fit"), (0, &long)];
        for (offset, chunk) in wrong {
            let mut uploads = Uploads::default();
            let number = start(&mut uploads, "a", 4);
            let refusal = uploads.add("a", number, offset, chunk).unwrap_err();
            assert_eq!(refusal, Refusal::Chunk);
            let refusal = uploads.add("a", number, 0, b"x").unwrap_err();
            assert_eq!(refusal, Refusal::UnknownUpload);
        }
    }

    #[test]
    fn content_of_another_type_is_refused() {
        let mut uploads = Uploads::default();
        let number = start(&mut uploads, "a", 6);
        let refusal = uploads.add("a", number, 0, b"GIF89a").unwrap_err();
        assert_eq!(refusal, Refusal::PictureContent);
        assert_eq!(uploads.bytes, 0);
    }

    #[test]
    fn new_upload_drops_the_one_before() {
        let mut uploads = Uploads::default();
        let first = start(&mut uploads, "a", 10);
        uploads.add("a", first, 0, b"12345").unwrap();
        let second = start(&mut uploads, "a", 10);
        assert_eq!(uploads.bytes, 0);
        assert!(uploads.add("a", first, 5, b"6").is_err());
        assert_ne!(first, second);
    }

    #[test]
    fn upload_that_rested_longest_makes_room() {
        let mut uploads = Uploads::default();
        let chunk = vec![0; MAX_CHUNK];
        let enough = MAX_UPLOADS / MAX_CHUNK;
        let numbers: Vec<_> = (0..enough)
            .map(|n| {
                let socket = n.to_string();
                let number = start(&mut uploads, &socket, MAX_PICTURE);
                uploads.add(&socket, number, 0, &chunk).unwrap();
                number
            })
            .collect();
        assert_eq!(uploads.bytes, MAX_UPLOADS);
        uploads
            .add("0", numbers[0], MAX_CHUNK as u64, &chunk)
            .unwrap();
        assert_eq!(uploads.bytes, MAX_UPLOADS);
        assert!(uploads.by_socket.contains_key("0"));
        assert!(!uploads.by_socket.contains_key("1"));
    }

    #[test]
    fn oldest_pictures_make_room() {
        let mut album = Album::default();
        let large = Bytes::from(vec![0; MAX_ALBUM / 2]);
        album.keep(1, PictureType::Png, large.clone());
        album.keep(2, PictureType::Png, large.clone());
        assert!(album.find(1).is_ok());
        album.keep(3, PictureType::Png, Bytes::from_static(b"x"));
        assert_eq!(album.find(1).unwrap_err(), Refusal::UnknownPicture);
        assert!(album.find(2).is_ok());
        album.forget(2);
        album.forget(2);
        assert_eq!(album.bytes, 1);
    }
}
