//! Everything that the chat's server knows: who is where, and what was said.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use crate::others::{News, Others};
use crate::pictures::{Album, Progress, Uploads};
use crate::rules::{self, HISTORY, MAX_ROOMS, PictureType, Refusal};
use crate::shapes::{
    self, Body, Content, Joined, Message, Person, PersonId, Picture, Present, UploadStart,
};

/// The chat's state. Sockets are told apart by their ids, which stay in here: what people see of each
/// other is a [`PersonId`]. Times are given as milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct Chat {
    boot: String,
    /// By name, and so in the order in which they are listed.
    rooms: BTreeMap<String, Room>,
    /// Where a socket is, if it has joined a room.
    places: HashMap<String, Place>,
    /// How many have come, to number them.
    visits: u64,
    messages: u64,
    uploads: Uploads,
    album: Album,
    /// Counts how often a room became empty, to tell which has been so for longest.
    departures: u64,
    /// Who is in the chats of other servers.
    others: Others,
}

#[derive(Debug, Default)]
struct Room {
    /// In the order of their coming.
    people: Vec<Person>,
    history: VecDeque<Message>,
    /// Which departure left it empty.
    empty_since: u64,
}

#[derive(Debug)]
struct Place {
    person: PersonId,
    room: String,
}

/// What `join` did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Somebody is in another room now, and has left this one.
    Moved {
        left: Option<String>,
    },
    /// Somebody has another name in the same room.
    Renamed,
    Nothing,
}

/// The room that always exists.
const LOBBY: &str = "lobby";

impl Chat {
    /// An empty chat. `boot` tells it from those of earlier runs of the server, and of other servers, whose numbers for
    /// people and messages begin elsewhere than with the one after `base`.
    pub(crate) fn new(boot: String, base: u64) -> Self {
        Self {
            boot,
            rooms: BTreeMap::from([(LOBBY.into(), Room::default())]),
            places: HashMap::new(),
            visits: base,
            messages: base,
            uploads: Uploads::default(),
            album: Album::default(),
            departures: 0,
            others: Others::default(),
        }
    }

    /// Brings somebody into a room, out of the one before, or changes their name.
    pub(crate) fn join(&mut self, id: &str, name: &str, room: &str) -> Result<Change, Refusal> {
        let name = rules::person_name(name)?;
        let room = rules::room_name(room)?;
        if self.places.get(id).is_some_and(|place| place.room == room) {
            return Ok(self.rename(id, name));
        }
        self.make_room(room)?;
        let before = self.depart(id);
        let person = before.as_ref().map(|place| place.person);
        let person = person.unwrap_or_else(|| self.next_person());
        let people = &mut self.rooms.entry(room.to_owned()).or_default().people;
        people.push(Person {
            id: person,
            name: name.to_owned(),
        });
        let room = room.to_owned();
        self.places.insert(id.to_owned(), Place { person, room });
        let left = before.map(|place| place.room);
        Ok(Change::Moved { left })
    }

    /// What somebody who has just joined is told.
    pub(crate) fn welcome(&self, id: &str) -> Result<Joined, Refusal> {
        let (person, room) = self.whereabouts(id).ok_or(Refusal::NotJoined)?;
        let history = self.rooms.get(room).map(|room| room.history.clone());
        Ok(Joined {
            boot: self.boot.clone(),
            id: person.id,
            room: room.to_owned(),
            name: person.name.clone(),
            people: self.everybody(room),
            rooms: self.rooms(),
            messages: history.unwrap_or_default(),
        })
    }

    /// Forgets a socket. Returns the room that it was in.
    pub(crate) fn leave(&mut self, id: &str) -> Option<String> {
        self.drop_upload(id);
        self.depart(id).map(|place| place.room)
    }

    /// Who a socket is, and in which room.
    pub(crate) fn whereabouts(&self, id: &str) -> Option<(&Person, &str)> {
        let Place { person, room } = self.places.get(id)?;
        let mut people = self.people_here(room).iter();
        Some((people.find(|other| other.id == *person)?, room))
    }

    /// Those in a room, in the order of their coming; those of other servers after those of this one.
    pub(crate) fn everybody(&self, room: &str) -> Vec<Person> {
        let here = self.people_here(room).iter();
        here.chain(self.others.people(room)).cloned().collect()
    }

    fn people_here(&self, room: &str) -> &[Person] {
        self.rooms.get(room).map_or(&[], |room| &room.people)
    }

    /// All rooms, by name.
    pub(crate) fn rooms(&self) -> Vec<shapes::Room> {
        let here = self.rooms.iter();
        let mut rooms: BTreeMap<_, _> = here
            .map(|(name, room)| (name.as_str(), room.people.len()))
            .collect();
        for (name, people) in self.others.rooms() {
            *rooms.entry(name).or_default() += people;
        }
        let list = rooms.into_iter().map(|(name, people)| shapes::Room {
            name: name.to_owned(),
            people,
        });
        list.collect()
    }

    /// What other servers are told of who is here.
    pub(crate) fn present(&self) -> Present {
        let rooms = self.rooms.iter();
        Present {
            server: self.boot.clone(),
            rooms: rooms
                .filter(|(_, room)| !room.people.is_empty())
                .map(|(name, room)| (name.clone(), room.people.clone()))
                .collect(),
        }
    }

    /// Takes in what another server has told.
    pub(crate) fn hear(&mut self, present: Present, now: Instant) -> News {
        self.others.hear(present, now)
    }

    /// Forgets the people of servers that tell nothing any more. Gives the rooms that they were in.
    pub(crate) fn forget_silent(&mut self, now: Instant) -> Vec<String> {
        self.others.forget_silent(now)
    }

    /// Adds a message of another server, unless there can be no room for it. Then nobody here is in that room.
    pub(crate) fn adopt(&mut self, message: Message) -> Option<&Message> {
        self.make_room(&message.room).ok()?;
        self.rooms.entry(message.room.clone()).or_default();
        self.keep(message)
    }

    /// Keeps a picture that another server has given, if its message is still there.
    pub(crate) fn adopt_picture(&mut self, id: u64, picture: &Content) {
        if self.is_told(id) {
            self.album.keep(id, picture.kind, picture.data.clone());
        }
    }

    /// Whether there is a picture of this number in a history.
    pub(crate) fn is_told(&self, picture: u64) -> bool {
        let mut messages = self.rooms.values().flat_map(|room| &room.history);
        messages.any(|message| message.id == picture && matches!(message.body, Body::Picture(_)))
    }

    /// Adds a text to the room that its writer is in.
    pub(crate) fn say(&mut self, id: &str, text: &str, now: u64) -> Result<&Message, Refusal> {
        let (person, room) = self.whereabouts(id).ok_or(Refusal::NotJoined)?;
        let text = rules::message_text(text)?;
        let (person, room) = (person.clone(), room.to_owned());
        let body = Body::Text(text.to_owned());
        self.messages += 1;
        self.post(room, person, now, body).ok_or(Refusal::NotJoined)
    }

    /// Begins a picture for the room that its sender is in. Returns the number of the upload.
    pub(crate) fn start_upload(&mut self, id: &str, start: &UploadStart) -> Result<u64, Refusal> {
        self.drop_upload(id);
        let room = &self.places.get(id).ok_or(Refusal::NotJoined)?.room;
        let name = rules::picture_name(&start.name)?;
        let kind = PictureType::parse(&start.kind)?;
        let size = rules::picture_size(start.size)?;
        Ok(self.uploads.start(id, room, name, kind, size))
    }

    /// Adds to a picture. Returns how much of it there is, and, if that is all, the message that
    /// has come of it.
    pub(crate) fn add_chunk(
        &mut self,
        id: &str,
        upload: u64,
        offset: u64,
        chunk: &[u8],
        now: u64,
    ) -> Result<(usize, Option<&Message>), Refusal> {
        let (person, _) = self.whereabouts(id).ok_or(Refusal::NotJoined)?;
        let person = person.clone();
        let upload = match self.uploads.add(id, upload, offset, chunk)? {
            Progress::Received(received) => return Ok((received, None)),
            Progress::Complete(upload) => upload,
        };
        if !self.rooms.contains_key(&upload.room) {
            return Err(Refusal::UnknownUpload);
        }
        let size = upload.data.len();
        self.messages += 1;
        let picture = Picture {
            id: self.messages,
            name: upload.name,
            kind: upload.kind,
            size,
        };
        // Without the space that was left for more.
        let data = upload.data.into_boxed_slice();
        self.album.keep(picture.id, picture.kind, data.into());
        let message = self.post(upload.room, person, now, Body::Picture(picture));
        Ok((size, message))
    }

    /// Drops the picture that a socket has under way, if there is one.
    pub(crate) fn drop_upload(&mut self, id: &str) {
        self.uploads.drop_of(id);
    }

    /// The picture of a message.
    pub(crate) fn picture(&self, id: u64) -> Result<Content, Refusal> {
        self.album.find(id)
    }

    /// Makes sure that there is this room, or may be one more.
    fn make_room(&mut self, name: &str) -> Result<(), Refusal> {
        if self.rooms.contains_key(name) || self.rooms.len() < MAX_ROOMS {
            return Ok(());
        }
        let empty = self
            .rooms
            .iter()
            .filter(|(name, room)| room.people.is_empty() && *name != LOBBY);
        let longest = empty.min_by_key(|(_, room)| room.empty_since);
        let name = longest.ok_or(Refusal::NoRoomLeft)?.0.clone();
        let forgotten = self.rooms.remove(&name).unwrap_or_default();
        for message in &forgotten.history {
            self.album.forget_picture_of(message);
        }
        Ok(())
    }

    fn rename(&mut self, id: &str, name: &str) -> Change {
        let Some(Place { person, room }) = self.places.get(id) else {
            return Change::Nothing;
        };
        let room = self.rooms.get_mut(room).into_iter();
        for other in room.flat_map(|room| &mut room.people) {
            if other.id == *person && other.name != name {
                name.clone_into(&mut other.name);
                return Change::Renamed;
            }
        }
        Change::Nothing
    }

    fn next_person(&mut self) -> PersonId {
        self.visits += 1;
        PersonId(self.visits)
    }

    fn depart(&mut self, id: &str) -> Option<Place> {
        let place = self.places.remove(id)?;
        if let Some(room) = self.rooms.get_mut(&place.room) {
            room.people.retain(|person| person.id != place.person);
            if room.people.is_empty() {
                self.departures += 1;
                room.empty_since = self.departures;
            }
        }
        Some(place)
    }

    /// Adds the message with the latest number to its room; there is none if there is no such room.
    fn post(&mut self, room: String, from: Person, time: u64, body: Body) -> Option<&Message> {
        self.keep(Message {
            id: self.messages,
            time,
            room,
            from,
            body,
        })
    }

    fn keep(&mut self, message: Message) -> Option<&Message> {
        let history = &mut self.rooms.get_mut(&message.room)?.history;
        if history.len() >= HISTORY
            && let Some(oldest) = history.pop_front()
        {
            self.album.forget_picture_of(&oldest);
        }
        history.push_back(message);
        history.back()
    }
}

impl Album {
    fn forget_picture_of(&mut self, message: &Message) {
        if let Body::Picture(picture) = &message.body {
            self.forget(picture.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat() -> Chat {
        Chat::new("boot".into(), 0)
    }

    fn names(people: &[Person]) -> Vec<&str> {
        people.iter().map(|person| person.name.as_str()).collect()
    }

    fn start(size: u64) -> UploadStart {
        UploadStart {
            name: "fish".into(),
            kind: "image/gif".into(),
            size,
        }
    }

    fn send_picture(chat: &mut Chat, id: &str) -> u64 {
        let upload = chat.start_upload(id, &start(6)).unwrap();
        let (_, message) = chat.add_chunk(id, upload, 0, b"GIF89a", 0).unwrap();
        message.unwrap().id
    }

    #[test]
    fn people_are_listed_in_the_order_of_their_coming() {
        let mut chat = chat();
        for (id, name) in [("2", "Bob"), ("1", "Ann"), ("3", "Bob")] {
            assert_eq!(
                chat.join(id, name, " lobby "),
                Ok(Change::Moved { left: None })
            );
        }
        assert_eq!(chat.join("2", "Bea", "lobby"), Ok(Change::Renamed));
        assert_eq!(chat.join("2", "Bea", "lobby"), Ok(Change::Nothing));
        assert_eq!(names(&chat.everybody("lobby")), ["Bea", "Ann", "Bob"]);
        let left = Some("lobby".to_owned());
        assert_eq!(chat.join("2", "Bea", "x"), Ok(Change::Moved { left }));
        assert_eq!(names(&chat.everybody("lobby")), ["Ann", "Bob"]);
        assert_eq!(chat.leave("2").as_deref(), Some("x"));
        assert_eq!(chat.leave("2"), None);
        assert!(chat.everybody("x").is_empty());
    }

    #[test]
    fn nobody_is_told_the_id_of_a_socket() {
        let mut chat = chat();
        chat.join("secret-a", "Ann", "lobby").unwrap();
        chat.join("secret-b", "Bob", "lobby").unwrap();
        let said = chat.say("secret-a", "hi", 7).unwrap();
        let said = serde_json::to_string(said).unwrap();
        let welcome = chat.welcome("secret-b").unwrap();
        let told = serde_json::to_string(&welcome).unwrap();
        assert!(!(said + &told).contains("secret"), "{told}");
        // They are told apart all the same, and stay who they are in another room.
        assert_ne!(welcome.people[0].id, welcome.people[1].id);
        assert_eq!(welcome.id, welcome.people[1].id);
        chat.join("secret-b", "Bob", "x").unwrap();
        assert_eq!(chat.welcome("secret-b").unwrap().id, welcome.id);
    }

    #[test]
    fn refused_join_changes_nothing() {
        let mut chat = chat();
        chat.join("1", "Ann", "lobby").unwrap();
        assert!(chat.join("1", "", "other").is_err());
        assert!(chat.join("1", "Ann", "\u{7}").is_err());
        assert_eq!(names(&chat.everybody("lobby")), ["Ann"]);
        assert_eq!(chat.rooms().len(), 1);
    }

    #[test]
    fn welcome_tells_what_is_known_of_the_room() {
        let mut chat = chat();
        chat.join("1", "Ann", "b").unwrap();
        chat.say("1", "hello", 7).unwrap();
        chat.join("2", " Bob ", "b").unwrap();
        let welcome = chat.welcome("2").unwrap();
        assert_eq!(
            (&*welcome.boot, &*welcome.room, &*welcome.name),
            ("boot", "b", "Bob")
        );
        assert_eq!(names(&welcome.people), ["Ann", "Bob"]);
        let rooms: Vec<_> = welcome
            .rooms
            .iter()
            .map(|room| (&*room.name, room.people))
            .collect();
        assert_eq!(rooms, [("b", 2), ("lobby", 0)]);
        assert_eq!(welcome.messages.len(), 1);
    }

    #[test]
    fn shapes_are_those_of_the_page() {
        let mut chat = chat();
        chat.join("1", "Ann", "lobby").unwrap();
        let text = serde_json::to_value(chat.say("1", " hi ", 7).unwrap()).unwrap();
        let expected = serde_json::json!({
            "id": 1, "time": 7, "room": "lobby", "from": { "id": "1", "name": "Ann" }, "text": "hi",
        });
        assert_eq!(text, expected);
        send_picture(&mut chat, "1");
        let message = chat.welcome("1").unwrap().messages.pop_back().unwrap();
        let picture = serde_json::to_value(message).unwrap();
        let expected =
            serde_json::json!({ "id": 2, "name": "fish", "type": "image/gif", "size": 6 });
        assert_eq!(picture["picture"], expected);
        assert!(picture.get("text").is_none());
    }

    #[test]
    fn who_has_not_joined_cannot_speak() {
        let mut chat = chat();
        assert_eq!(chat.say("1", "hi", 0), Err(Refusal::NotJoined));
        assert_eq!(chat.start_upload("1", &start(6)), Err(Refusal::NotJoined));
        assert!(chat.add_chunk("1", 1, 0, b"x", 0).is_err());
        assert!(chat.whereabouts("1").is_none());
    }

    #[test]
    fn history_keeps_the_last_messages_and_their_pictures() {
        let mut chat = chat();
        chat.join("1", "Ann", "lobby").unwrap();
        let picture = send_picture(&mut chat, "1");
        for n in 1..HISTORY {
            chat.say("1", &n.to_string(), 0).unwrap();
        }
        assert_eq!(chat.picture(picture).unwrap().data, "GIF89a");
        chat.say("1", "one more", 0).unwrap();
        assert_eq!(chat.picture(picture).unwrap_err(), Refusal::UnknownPicture);
        let messages = chat.welcome("1").unwrap().messages;
        assert_eq!(messages.len(), HISTORY);
        assert_eq!(messages[0].id, 2);
    }

    #[test]
    fn room_that_was_empty_longest_makes_way() {
        let mut chat = chat();
        chat.join("1", "Ann", "r1").unwrap();
        let picture = send_picture(&mut chat, "1");
        for n in 2..MAX_ROOMS {
            chat.join("1", "Ann", &format!("r{n}")).unwrap();
        }
        assert_eq!(chat.rooms().len(), MAX_ROOMS);
        // Somebody comes back to the oldest, so that the next is the longest empty.
        chat.join("2", "Bob", "r1").unwrap();
        chat.join("1", "Ann", "new").unwrap();
        let rooms = chat.rooms();
        assert_eq!(rooms.len(), MAX_ROOMS);
        assert!(rooms.iter().all(|room| room.name != "r2"));
        assert!(chat.picture(picture).is_ok());
        assert!(rooms.iter().any(|room| room.name == LOBBY));

        chat.join("2", "Bob", "lobby").unwrap();
        for n in 0..MAX_ROOMS {
            chat.join("1", "Ann", &format!("s{n}")).unwrap();
        }
        assert_eq!(chat.picture(picture).unwrap_err(), Refusal::UnknownPicture);
    }

    #[test]
    fn new_room_is_refused_when_none_is_empty() {
        let mut chat = chat();
        for n in 1..MAX_ROOMS {
            chat.join(&n.to_string(), "Ann", &format!("r{n}")).unwrap();
        }
        assert_eq!(chat.join("1", "Ann", "new"), Err(Refusal::NoRoomLeft));
        assert_eq!(chat.whereabouts("1").unwrap().1, "r1");
        assert!(chat.join("1", "Ann", "lobby").is_ok());
        assert!(chat.join("1", "Ann", "new").is_ok());
    }

    #[test]
    fn picture_goes_where_its_upload_began() {
        let mut chat = chat();
        chat.join("1", "Ann", "a").unwrap();
        let upload = chat.start_upload("1", &start(6)).unwrap();
        let (received, message) = chat.add_chunk("1", upload, 0, b"GIF", 0).unwrap();
        assert!(received == 3 && message.is_none());
        chat.join("1", "Ann", "b").unwrap();
        let (_, message) = chat.add_chunk("1", upload, 3, b"89a", 0).unwrap();
        assert_eq!(message.unwrap().room, "a");
    }

    #[test]
    fn upload_ends_with_its_socket() {
        let mut chat = chat();
        chat.join("1", "Ann", "a").unwrap();
        let upload = chat.start_upload("1", &start(6)).unwrap();
        chat.leave("1");
        chat.join("1", "Ann", "a").unwrap();
        let refusal = chat.add_chunk("1", upload, 0, b"GIF89a", 0).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownUpload);
    }
}
