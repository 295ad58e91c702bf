"""The classes that the stand-in has, and what each does.

Image nodes work with Pillow; painting nodes make a picture from prompt and seed alone. A node gets its `Run` and its
inputs and gives its outputs, with a report behind them where it saves.
Images and masks are lists of Pillow images, a batch each; conditioning is its text; a model is its file's name.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

Images: TypeAlias = list[Image.Image]
Inputs: TypeAlias = Mapping[str, Any]
Outputs: TypeAlias = tuple[Any, ...]
Node: TypeAlias = Callable[[Any, Inputs], Outputs]
_METHODS = {"nearest-exact": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
            "area": Image.Resampling.BOX, "bicubic": Image.Resampling.BICUBIC,
            "lanczos": Image.Resampling.LANCZOS}  # fmt: skip


@dataclass(frozen=True)
class Latent:
    """A picture to be, in pixels; `base` is what it starts from, `masks` where it may be painted."""

    size: tuple[int, int]
    count: int
    base: Images | None = None
    masks: Images | None = None

    @property
    def pictures(self) -> Images:
        """Give what it shows."""
        return self.base or [Image.new("RGB", self.size, "gray")] * self.count


def paint(text: str, seed: int, size: tuple[int, int]) -> Image.Image:
    """Paint the same picture for the same prompt and seed, and write on it what it is."""
    dice = hashlib.sha256(f"{seed}|{text}".encode()).digest()
    slope = Image.linear_gradient("L").rotate(dice[0])
    slope = _fit(slope, size)
    picture = ImageOps.colorize(slope, (dice[1], dice[2], dice[3]), (255 - dice[4], 255 - dice[5], 255 - dice[6]))
    draw = ImageDraw.Draw(picture)
    for at in range(7, 27, 5):
        x, y, radius = dice[at] * size[0] // 255, dice[at + 1] * size[1] // 255, 2 + dice[at + 2] * min(size) // 1000
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(dice[at + 3], dice[at + 4], dice[at]))
    font = ImageFont.load_default(max(8, size[0] // 12))
    draw.text((size[0] // 16, size[1] // 3), f"STAND-IN\n{text[:24]}\nseed {seed}", "white", font, stroke_fill="black")
    return picture


def _sample(run: Any, inputs: Inputs) -> Outputs:
    latent: Latent = inputs["latent_image"]
    text = f"{inputs['positive']} - {inputs['negative']}" if inputs["negative"] else inputs["positive"]
    painted = [paint(text, inputs["seed"] + index, latent.size) for index in range(latent.count)]
    draft = painted[0].copy()
    draft.thumbnail((256, 256))
    for step in range(1, inputs["steps"] + 1):
        hidden = (inputs["steps"] - step) * max(draft.size) // (8 * inputs["steps"])
        run.step(step, inputs["steps"], draft.filter(ImageFilter.BoxBlur(hidden)))
    if latent.base is not None:
        mask = _fit(latent.masks[0], latent.size) if latent.masks else Image.new("L", latent.size, 255)
        for index, under in enumerate(_fit(image.convert("RGB"), latent.size) for image in latent.base):
            over = Image.blend(under, painted[index], inputs["denoise"])
            painted[index] = Image.composite(over, under, mask)
    return (replace(latent, base=painted, masks=None),)


def _empty_latent(_: Any, inputs: Inputs) -> Outputs:
    size = (inputs["width"] // 8 * 8, inputs["height"] // 8 * 8)
    return (Latent(size, inputs["batch_size"] * inputs.get("length", 1)),)


def _encode(_: Any, inputs: Inputs) -> Outputs:
    pixels: Images = inputs["pixels"]
    latent = Latent(pixels[0].size, len(pixels), base=pixels, masks=inputs.get("mask"))
    return (inputs["positive"], inputs["negative"], latent) if "positive" in inputs else (latent,)


def _empty_image(_: Any, inputs: Inputs) -> Outputs:
    size, colour = (inputs["width"], inputs["height"]), f"#{inputs['color']:06x}"
    return ([Image.new("RGB", size, colour) for _ in range(inputs["batch_size"])],)


def _load(run: Any, inputs: Inputs) -> Outputs:
    image: Image.Image = ImageOps.exif_transpose(run.load(inputs["image"]))
    if "channel" in inputs:
        band = image.convert("RGBA").getchannel(inputs["channel"][0].upper())
        return ([ImageOps.invert(band) if inputs["channel"] == "alpha" else band],)
    mask = ImageOps.invert(image.getchannel("A")) if "A" in image.getbands() else Image.new("L", (64, 64), 0)
    return [image.convert("RGB")], [mask]


def _fit(image: Image.Image, size: tuple[float, float], method: str = "bilinear") -> Image.Image:
    width, height = max(1, round(size[0])), max(1, round(size[1]))
    return image.resize((width, height), _METHODS[method])  # pyright: ignore[reportUnknownMemberType] # numpy's union


def _scale(image: Image.Image, inputs: Inputs) -> Image.Image:
    factor = inputs.get("scale_by", 1)
    width, height = inputs.get("width", image.width * factor), inputs.get("height", image.height * factor)
    size = (width or image.width * height / image.height, height or image.height * width / image.width)
    if inputs.get("crop") == "center":
        return ImageOps.fit(image, (round(size[0]), round(size[1])), _METHODS[inputs["upscale_method"]])
    return _fit(image, size, inputs["upscale_method"])


def _to_pixels(image: Image.Image, inputs: Inputs) -> Image.Image:
    factor = math.sqrt(inputs.get("megapixels", 1.0) * 1024 * 1024 / (image.width * image.height))
    grid = inputs.get("resolution_steps", 16)
    size = (round(image.width * factor / grid) * grid, round(image.height * factor / grid) * grid)
    return _fit(image, size, inputs.get("upscale_method", "lanczos"))


def _pad(_: Any, inputs: Inputs) -> Outputs:
    left, top, image = inputs["left"], inputs["top"], inputs["image"][0]
    size = (image.width + left + inputs["right"], image.height + top + inputs["bottom"])
    padded, mask = Image.new("RGB", size, "gray"), Image.new("L", size, 255)
    padded.paste(image, (left, top))
    mask.paste(0, (left, top, left + image.width, top + image.height))
    return [padded], [mask]


def _composite(_: Any, inputs: Inputs) -> Outputs:
    results: Images = [image.copy() for image in inputs["destination"]]
    for under, over in zip(results, inputs["source"], strict=False):
        source = _fit(over, under.size) if inputs["resize_source"] else over
        under.paste(
            source, (inputs["x"], inputs["y"]), _fit(inputs["mask"][0], source.size) if "mask" in inputs else None
        )
    return (results,)


def _join_alpha(image: Image.Image, inputs: Inputs) -> Image.Image:
    joined = image.convert("RGBA")
    joined.putalpha(ImageOps.invert(_fit(inputs["alpha"][0], image.size)))
    return joined


def _upscale(run: Any, inputs: Inputs) -> Outputs:
    run.step(1, 1)
    return ([_fit(image, (image.width * 4, image.height * 4), "lanczos") for image in inputs["image"]],)


def _describe(run: Any, inputs: Inputs) -> Outputs:
    run.step(1, 1)
    seen = " and ".join(f"a picture of {image.width} by {image.height} pixels" for image in inputs.get("image", []))
    return (f"STAND-IN: asked “{inputs['prompt']}”, shown {seen or 'nothing'}.",)


def _send(run: Any, inputs: Inputs) -> Outputs:
    for index, image in enumerate(inputs["images"]):
        run.step(index, len(inputs["images"]), image, "PNG")
    return ()


def _filtered(image: Image.Image, inputs: Inputs) -> Image.Image:
    match inputs:
        case {"sharpen_radius": radius, "alpha": strength}:
            return image.filter(ImageFilter.UnsharpMask(radius, round(100 * strength), 0))
        case {"blur_radius": radius}:
            return image.filter(ImageFilter.GaussianBlur(radius))
        case {"expand": pixels}:
            spread = ImageFilter.MaxFilter if pixels > 0 else ImageFilter.MinFilter
            return image.filter(spread(2 * abs(pixels) + 1))
        case {"bg_removal_model": _}:
            return ImageChops.invert(_fit(Image.radial_gradient("L"), image.size))
        case _:
            return image.convert("L").filter(ImageFilter.FIND_EDGES).convert("RGB")


def _each(change: Callable[[Image.Image, Inputs], Image.Image], name: str = "image") -> Node:
    return lambda _, inputs: ([change(image, inputs) for image in inputs[name]],)


def _given(names: str) -> Node:
    return lambda _, inputs: tuple(inputs[name] for name in names.split())


def _saved(kind: str, name: str) -> Node:
    return lambda run, inputs: (inputs[name], run.save(kind, inputs["filename_prefix"], inputs[name]))


_GIVEN = {
    "CheckpointLoaderSimple": "ckpt_name ckpt_name ckpt_name", "UNETLoader": "unet_name", "VAELoader": "vae_name",
    "CLIPLoader": "clip_name", "DualCLIPLoader": "clip_name1", "ControlNetLoader": "control_net_name",
    "UpscaleModelLoader": "model_name", "LoadBackgroundRemovalModel": "bg_removal_name",
    "ModelSamplingAuraFlow": "model", "ModelSamplingSD3": "model", "DifferentialDiffusion": "model",
    "SetUnionControlNetType": "control_net", "CLIPTextEncode": "text", "TextEncodeQwenImageEditPlus": "prompt",
    "FluxGuidance": "conditioning", "ControlNetApplyAdvanced": "positive negative", "CreateVideo": "images",
}  # fmt: skip
NODES: Mapping[str, Node] = {
    **{name: _given(names) for name, names in _GIVEN.items()},
    "LotusConditioning": lambda _, __: ("",), "ConditioningZeroOut": lambda _, __: ("",),
    "InpaintModelConditioning": _encode, "VAEEncode": _encode, "VAEEncodeForInpaint": _encode,
    "VAEDecode": lambda _, inputs: (inputs["samples"].pictures,),
    "EmptyLatentImage": _empty_latent, "EmptySD3LatentImage": _empty_latent, "Wan22ImageToVideoLatent": _empty_latent,
    "SetLatentNoiseMask": lambda _, inputs: (replace(inputs["samples"], masks=inputs["mask"]),), "KSampler": _sample,
    "EmptyImage": _empty_image, "LoadImage": _load, "LoadImageMask": _load,
    "ImageScale": _each(_scale), "ImageScaleBy": _each(_scale), "ImageScaleToTotalPixels": _each(_to_pixels),
    "FluxKontextImageScale": _each(_to_pixels), "ImageUpscaleWithModel": _upscale, "ImageSharpen": _each(_filtered),
    "ImageBlur": _each(_filtered), "Canny": _each(_filtered),
    "ImageInvert": _each(lambda image, _: ImageChops.invert(image)),
    "ImageCompositeMasked": _composite, "ImagePadForOutpaint": _pad, "JoinImageWithAlpha": _each(_join_alpha),
    "RemoveBackground": _each(_filtered), "GrowMask": _each(_filtered, "mask"),
    "InvertMask": _each(lambda image, _: ImageChops.invert(image), "mask"), "TextGenerate": _describe,
    "SaveImage": _saved("images", "images"), "SaveImageWebsocket": _send, "SaveText": _saved("files", "text"),
    "SaveVideo": _saved("animated", "video"), "SaveSVGNode": _saved("images", "svg"),
}  # fmt: skip
"""Every class of the shipped graphs and of the recordings, and no other."""
