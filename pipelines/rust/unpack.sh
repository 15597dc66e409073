# Puts the archives of `x.py dist` together as one toolchain, as rustup does.
#
#     unpack.sh ARCHIVES TRIPLE TOOLCHAIN
#
# rustc and rust-std must be there. cargo, rust-src, rustfmt and clippy are taken where they are; documentation is not.
set -eu

archives=$1
triple=$2
toolchain=$3

# The archive of a component, if there is one. Names of components begin with each other (`rust-std`, `rustc-dev`): what follows is a
# version or a channel.
archive_of() {
    for archive in "$archives/$1"-*.tar.xz "$archives/$1"-*.tar.gz; do
        rest=${archive#"$archives/$1"-}
        case $rest in
            [0-9]* | nightly* | beta*) ;;
            *) continue ;;
        esac
        case $1:$rest in
            rust-src:* | *-"$triple".tar.*) echo "$archive"; return ;;
        esac
    done
}

rm -rf "$toolchain"
mkdir -p "$toolchain"
for name in rustc rust-std cargo rust-src rustfmt clippy; do
    archive=$(archive_of "$name")
    case $name:$archive in
        rustc: | rust-std:)
            echo "there is no archive of $name for $triple in $archives, which has: $(ls "$archives" | tr '\n' ' ')" >&2
            exit 1
            ;;
        *:) continue ;;
    esac
    aside=$toolchain.aside
    rm -rf "$aside"
    mkdir "$aside"
    tar -xf "$archive" -C "$aside" --strip-components=1
    # Its list of components, one per line.
    for component in $(cat "$aside/components"); do
        cp -a "$aside/$component/." "$toolchain/"
    done
    rm -rf "$aside" "$toolchain/manifest.in"
    echo "$archive"
done
