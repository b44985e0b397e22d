// SPDX-License-Identifier: BSD-2-Clause
//! Enumerations and bits that a newer library may know more values of: numbers with names.

macro_rules! number {
    ($(#[$doc:meta])* $name:ident: $type:ty { $($(#[$about:meta])* $constant:ident = $value:literal, $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $type);

        impl $name {
            $($(#[$about])* pub const $constant: $name = $name($value);)*

            /// A word for it; `None` for values of newer libraries.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($word),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => std::fmt::Display::fmt(&self.0, f),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self)
            }
        }
    };
}

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident: $type:ty { $($(#[$about:meta])* $constant:ident = $value:literal, $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub $type);

        impl $name {
            $($(#[$about])* pub const $constant: $name = $name($value);)*

            /// All of the given bits are set.
            pub fn contains(self, bits: $name) -> bool {
                self.0 & bits.0 == bits.0
            }
        }

        impl std::ops::BitOr for $name {
            type Output = $name;

            fn bitor(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let names = [$(($name::$constant, $word)),*];
                let known = names.iter().fold(0, |all, (bits, _)| all | bits.0);
                let mut list = f.debug_list();
                list.entries(names.iter().filter(|(bits, _)| self.contains(*bits)).map(|(_, word)| word));
                if self.0 & !known != 0 {
                    list.entry(&(self.0 & !known));
                }
                list.finish()
            }
        }
    };
}
