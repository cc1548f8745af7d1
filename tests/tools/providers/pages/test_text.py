"""What people read on a page, from bytes of any charset and markup of any quality."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everturn.tools.kit.web.client import Page
from everturn.tools.providers.pages import text_of
from everturn.tools.providers.pages.charset import decoded
from everturn.tools.providers.pages.readable import readable


def page(body: bytes, content_type: str = "text/html", charset: str | None = None) -> Page:
    return Page("http://page.test/", content_type, charset, body, cut=False)


def test_what_people_read() -> None:
    found = readable(
        "<!doctype html><html lang=ko-KR><head><title> A  title\n here </title><style>p{}</style>"
        "<script>var x='<p>no'</script><meta name=description content=no></head><body>"
        "<nav><ul><li>Menu</ul></nav><header><h1>Head&amp;line</h1></header>"
        "<p>One <b>bo</b>ld,\n two&nbsp;words.<br>New line<p>Unclosed"
        "<ul><li>first<li>second <a href=/x>link</a></ul>"
        "<table><tr><th>Name<th>Age</tr><tr><td>Ada<td>36</tr></table>"
        "<pre>def f():\n    return 1</pre><svg><title>no</title><text>no</text></svg>"
        "<template>no</template><noscript>no</noscript><select><option>no</select>"
        "<footer>no</footer></body></html>"
    )
    assert found.title == "A title here"
    assert found.language == "ko-KR"
    assert [line for line in found.text.split("\n") if line] == [
        "# Head&line",
        "One bold, two words.",
        "New line",
        "Unclosed",
        "- first",
        "- second link",
        "Name | Age",
        "Ada | 36",
        "def f():",
        "    return 1",
    ]


def test_the_main_part_where_there_is_one() -> None:
    story = "A story. " * 40
    found = readable(f"<div>Sign up!</div><main><p>{story}</main><div>Related</div>")
    assert found.text == story.strip()
    short = readable("<div>All of it</div><main>x</main>")
    assert short.text == "All of it\n\nx"


@pytest.mark.parametrize(
    "markup",
    [
        *(
            "",
            " ",
            "<",
            "<p",
            "<!--",
            "<![CDATA[",
            "&#0;",
            "\x00",
            "</p></p>",
            "<title>",
            "<script>",
        ),
        *("&#xD800;", "<p>" * 10_000, "<nav>" * 5000 + "x", "<a " + "a=1 " * 10_000),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_broken_markup_is_no_error(markup: str) -> None:
    assert isinstance(readable(markup).text, str)


@given(st.text(st.sampled_from("<>/!-=\"'&;# \nabdlpntr[]\x00é한"), max_size=200))
def test_any_markup_is_no_error(markup: str) -> None:
    found = readable(markup)
    assert isinstance(found.text, str)
    assert found.text == found.text.strip()


@pytest.mark.parametrize(
    ("body", "header", "text"),
    [
        ("한글".encode(), "utf-8", "한글"),
        ("한글".encode("cp949"), "euc-kr", "한글"),
        ("한글".encode("cp949"), "ks_c_5601-1987", "한글"),
        ("漢字".encode("cp932"), "Shift_JIS", "漢字"),
        ("汉字".encode("gb18030"), "gb2312", "汉字"),
        ("кириллица".encode("koi8-r"), "koi8-r", "кириллица"),
        ("кириллица".encode("cp1251"), "windows-1251", "кириллица"),
        (b"\x80 quote \x93", "iso-8859-1", "€ quote “"),
        ("é".encode(), None, "é"),
        ("é".encode("cp1252"), None, "é"),
        ("é".encode(), "no-such-charset", "é"),
        ("é".encode(), "rot13", "é"),
        ("é".encode(), "zip", "é"),
        ("é".encode(), "idna", "é"),
        ("é".encode(), "unicode_escape", "é"),
        ("\ufeffé".encode(), "iso-8859-1", "é"),
        ("é".encode("utf-16"), None, "é"),
        (b"\xff\xfe\x00", None, "\ufffd"),
        (b"\xe9\x80", "utf-8", "\ufffd"),
        ("<meta charset='euc-kr'>한글".encode("cp949"), None, "<meta charset='euc-kr'>한글"),
        (
            b'<META http-equiv="Content-Type" content="text/html; charset=windows-1251">\xef',
            None,
            '<META http-equiv="Content-Type" content="text/html; charset=windows-1251">п',
        ),
    ],
)
def test_charsets(body: bytes, header: str | None, text: str) -> None:
    assert decoded(body, header, markup=True) == text


def test_a_letter_that_was_cut_in_the_middle() -> None:
    body = "가나다".encode()[:-1]
    assert decoded(body, None, markup=False, cut=True) == "가나"
    assert decoded(b"\xe9", None, markup=False) == "é"


@given(st.binary(max_size=300), st.text(max_size=20))
def test_any_bytes_under_any_charset_are_text(body: bytes, charset: str) -> None:
    assert isinstance(decoded(body, charset, markup=True), str)
    assert isinstance(text_of(page(body)).text, str)


def test_what_is_no_markup_stays_as_it_is() -> None:
    assert text_of(page(b'{"a": "<p>"}\n', "application/json")).text == '{"a": "<p>"}'
