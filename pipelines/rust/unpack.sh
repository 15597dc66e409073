# Puts the archives of `x.py dist` together as one toolchain, as rustup does.
#
#     unpack.sh ARCHIVES TRIPLE TOOLCHAIN
#
# rustc and rust-std must be there; cargo, rustfmt, rust-src and whatever else is there is taken too, documentation apart.
set -eu

archives=$1
triple=$2
toolchain=$3

unpack() {
    for archive in "$archives/$1"-*.tar.xz "$archives/$1"-*.tar.gz; do
        # Names of components begin with each other (`rust-std`, `rust-std-…`): what follows is a version or a channel.
        rest=${archive#"$archives/$1"-}
        case $rest in
            [0-9]* | nightly* | beta* | dev*) ;;
            *) continue ;;
        esac
        case $rest in
            *-"$triple".tar.*) ;;
            *[0-9].tar.* | nightly.tar.* | beta.tar.* | *-dev.tar.* | *-nightly.tar.* | *-beta.*.tar.*) [ "$1" = rust-src ] || continue ;;
            *) continue ;;
        esac
        [ -f "$archive" ] || continue
        aside=$toolchain.aside
        rm -rf "$aside"
        mkdir -p "$aside"
        tar -xf "$archive" -C "$aside"
        while read -r component; do
            cp -a "$aside"/*/"$component"/. "$toolchain/"
        done < "$aside"/*/components
        rm -rf "$aside" "$toolchain/manifest.in"
        echo "$(basename "$archive")"
        return 0
    done
    return 1
}

rm -rf "$toolchain"
mkdir -p "$toolchain"
for name in rustc rust-std; do
    unpack "$name" || {
        echo "there is no archive of $name for $triple in $archives:" >&2
        ls "$archives" >&2
        exit 1
    }
done
for name in cargo rust-src rustfmt clippy; do
    unpack "$name" || true
done
