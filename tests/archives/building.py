"""Archives as bytes, made here block by block, so that they can also be what no tool would make."""

import gzip
import json

from tests.support.registry import digest, image

APP = image({"bin/app": b"app" * 10_000}, {"etc/app": b"settings"})
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
END = bytes(1024)


def entry(
    name,
    data=b"",
    *,
    kind=b"0",
    link="",
    size=None,
    size_field=None,
    prefix="",
    magic=b"ustar\x0000",
    checksum=None,
):
    """One entry; `size` is what it says, whatever there is."""
    size = len(data) if size is None else size
    field = b"%011o\0" % size if size_field is None else size_field
    block = bytearray(512)
    block[0:100] = encoded(name).ljust(100, b"\0")[:100]
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = field
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157:257] = encoded(link).ljust(100, b"\0")[:100]
    block[257:265] = magic
    block[345:500] = encoded(prefix).ljust(155, b"\0")
    block[148:156] = b"%06o\0 " % (sum(block) if checksum is None else checksum)
    return bytes(block) + data + bytes(-len(data) % 512)


def encoded(text):
    return text if isinstance(text, bytes) else text.encode()


def pax(records, kind=b"x"):
    """An extended header; records are made right, however long."""
    text = b""
    for key, value in records.items():
        body = encoded(key) + b"=" + encoded(value) + b"\n"
        size = len(body) + 1
        while size != len(body) + 1 + len(str(size)):
            size = len(body) + 1 + len(str(size))
        text += str(size).encode() + b" " + body
    return entry("PaxHeaders/x", text, kind=kind)


def tar(*parts):
    return b"".join(parts) + END


def path_of(name):
    return f"blobs/{name.replace(':', '/')}"


def descriptor(made, media_type=MANIFEST_TYPE, **more):
    return {"mediaType": media_type, "digest": digest(made), "size": len(made), **more}


def named(made, name="app:1", **more):
    """A descriptor of an image's manifest, with a name."""
    return descriptor(
        made.manifest, annotations={"org.opencontainers.image.ref.name": name}, **more
    )


def index(*descriptors):
    return json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": list(descriptors)}
    ).encode()


def blobs(*images):
    """Entries of all blobs, in the order of their names."""
    found = {name: data for each in images for name, data in each.blobs.items()}
    return [entry(path_of(name), found[name]) for name in sorted(found)]


def archive(*images, roots=None, extra=()):
    """An honest archive of an image layout, as a tar."""
    images = images or (APP,)
    roots = (
        [named(each, f"app:{number}") for number, each in enumerate(images, 1)]
        if (roots is None)
        else roots
    )
    return tar(
        entry("blobs/", kind=b"5"),
        entry("blobs/sha256/", kind=b"5"),
        *blobs(*images),
        entry("index.json", index(*roots)),
        entry("oci-layout", LAYOUT),
        *extra,
    )


def saved(*images, names=("app:1",), old=False, links=False):
    """What `docker save` writes: layers that are not compressed; `old` has them in folders."""
    parts, listed = {}, []
    for made in images or (APP,):
        layers = [gzip.decompress(layer) for layer in made.layers]
        paths = []
        for number, layer in enumerate(layers):
            name = digest(layer)[7:]
            path = f"{number}{name[1:]}/layer.tar" if old else f"{name}.tar"
            parts[path] = entry(path, layer)
            if links:
                again = f"{'f' * 63}{number}/layer.tar"
                parts[again] = entry(again, kind=b"2", link=f"../{path}")
                path = again
            paths.append(path)
        config = f"{digest(made.config)[7:]}.json"
        parts[config] = entry(config, made.config)
        listed.append({"Config": config, "RepoTags": list(names), "Layers": paths})
    return tar(*parts.values(), entry("manifest.json", json.dumps(listed).encode()))
