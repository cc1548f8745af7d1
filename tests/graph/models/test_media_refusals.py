"""Which words of a provider say that a model takes no pictures, and which that it is this one."""

import httpx2
import pytest

from everturn.graph.models.failures import failure_of
from everturn.graph.models.wire import Refused


def _kind(status: int, says: str) -> str:
    error = {"code": status, "message": says}
    return failure_of(Refused(httpx2.Response(status, json={"error": error}), error)).kind


@pytest.mark.parametrize(
    ("status", "says", "kind"),
    [
        # OpenRouter
        (404, "No endpoints found that support image input", "no_image_support"),
        (404, "No endpoints found that support input audio", "no_audio_support"),
        # OpenAI, Azure
        (
            *(400, "Invalid content type. image_url is only supported by certain models."),
            "no_image_support",
        ),
        (400, "Model gpt-x does not support image input.", "no_image_support"),
        # DeepSeek: serde's words
        (
            *(400, "messages[1]: unknown variant `image_url`, expected `text` at line 1 column 80"),
            "no_image_support",
        ),
        (400, "messages[1]: unknown variant `file`, expected `text`", "no_file_support"),
        # Mistral
        (400, "Image input is not enabled for this model", "no_image_support"),
        # Groq
        (
            *(400, "'messages.1' : for 'role:user' the following must be satisfied"),
            "bad_request",
        ),
        (400, "('messages.1.content' : value must be a string)", "no_image_support"),
        # Gemini
        (400, "Image input modality is not enabled for models/gemma-3-1b-it", "no_image_support"),
        (400, "Audio input modality is not enabled for models/gemma-3-4b-it", "no_audio_support"),
        # vLLM
        (400, "At most 0 image(s) may be provided in one prompt.", "no_image_support"),
        (400, "At most 0 audio(s) may be provided in one prompt.", "no_audio_support"),
        (400, "library/m is not a multimodal model", "no_image_support"),
        # llama.cpp
        (
            *(500, "image input is not supported - hint: you may need to provide the mmproj"),
            "no_image_support",
        ),
        (500, "audio input is not supported - hint: …", "no_audio_support"),
        # Ollama
        (
            *(500, "this model is missing data required for image input"),
            "no_image_support",
        ),
        # LM Studio, Bedrock behind a gateway
        (400, "Model does not support images. Please use a model that does.", "no_image_support"),
        (
            *(400, "This model doesn't support the image content block that you provided."),
            "no_image_support",
        ),
        (415, "This model does not support videos", "no_video_support"),
        # of one picture
        (400, "Could not process image", "unreadable_media"),
        (400, "messages.0.content.0.image.source.base64: invalid base64 data", "unreadable_media"),
        (400, "Image does not match the provided media type image/png", "unreadable_media"),
        (400, "messages.2.content.1.image: image exceeds 5 MB maximum", "unreadable_media"),
        (400, "Error while downloading https://example.org/a.png.", "unreadable_media"),
        (400, "Timeout while downloading https://example.org/a.png.", "unreadable_media"),
        (400, "The image data you provided does not represent a valid image.", "unreadable_media"),
        (
            400,
            "You uploaded an unsupported image. Please make",
            "unreadable_media",
        ),
        (400, "Unable to process input image.", "unreadable_media"),
        (400, "Cannot fetch content from the provided URL.", "unreadable_media"),
        (400, "Unsupported MIME type: image/tiff", "unreadable_media"),
        (400, "Model does not support image format svg", "unreadable_media"),
        (400, "Failed to load image or audio file", "unreadable_media"),
        (400, "cannot identify image file <_io.BytesIO object at 0x7f>", "unreadable_media"),
        # of neither
        (400, "Provider returned error", "bad_request"),
        (400, "At most 1 image(s) may be provided in one prompt.", "bad_request"),
        (400, "library/m does not support tools", "no_tool_support"),
        (400, "This model's maximum context length is 8192 tokens", "context_too_long"),
        (500, "llama runner process has terminated: error loading model", "unavailable"),
        (500, "failed to load image encoder", "unavailable"),
        (500, "Internal Server Error", "unavailable"),
        (404, "model 'vision' not found", "not_found"),
        (429, "image input is not supported at this rate", "rate_limited"),
    ],
)
def test_a_refusal_is_read(status: int, says: str, kind: str) -> None:
    assert _kind(status, says) == kind


def test_what_a_gateway_repeats_is_read() -> None:
    raw = '{"type":"error","error":{"message":"messages.0.content.1: Could not process image"}}'
    error = {"code": 400, "message": "Provider returned error", "metadata": {"raw": raw}}
    refused = Refused(httpx2.Response(400, json={"error": error}), error)
    assert failure_of(refused).kind == "unreadable_media"


def test_the_caller_is_told_in_plain_words() -> None:
    error = {"code": 404, "message": "No endpoints found that support image input"}
    failure = failure_of(Refused(httpx2.Response(404, json={"error": error}), error))
    assert failure.message == "the model takes no pictures (HTTP 404)"
