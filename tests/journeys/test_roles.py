"""What each role does in a day, in Russian, on a phone and at a desk: by the names people read."""

import re
import time
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from playwright.async_api import Page, expect

from tests.journeys.conftest import DESK, PHONE, SignIn, picture
from tests.support.exchange import Exchange

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"]),
]

RUSSIAN = {"locale": "ru-RU"}
FIGURES = ".tile dd:not(.hint)"

Create = Callable[[str], Awaitable[str]]


@pytest.fixture(scope="package")
def create(exchange: Exchange) -> Create:
    """`await create(title)`: somebody else makes a task meanwhile; answers its id."""
    token = exchange.token("manager")
    gateway = exchange.addresses["gateway"]

    async def make(title: str) -> str:
        async with httpx2.AsyncClient(base_url=gateway) as client:
            answer = await client.post(
                "/tracker/api/v1/tasks",
                json={"title": f"{title} {time.time_ns()}"},
                headers={"Authorization": f"Bearer {token}"},
            )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    return make


async def to_place(page: Page, name: str) -> None:
    """Go somewhere by the navigation, wherever a page of this size has it."""
    link = page.get_by_role("navigation", name="Разделы").get_by_role("link", name=name, exact=True)
    if not await link.is_visible():
        await page.locator("details.further summary").click()
    await link.click()


async def changes_by_itself(page: Page, figure: str, cause: Callable[[], Awaitable[object]]) -> None:
    """What stands in the figure becomes something else without a reload, and stands there after one too."""
    place = page.locator(figure).first
    before = await place.inner_text()
    await cause()
    await expect(place).not_to_have_text(before)
    shown = await place.inner_text()
    assert shown
    await page.reload()
    await expect(page.locator(figure).first).not_to_have_text(before)


async def test_worker(signed_in: SignIn, size: dict[str, int]) -> None:
    login = "worker3" if size is PHONE else "worker4"
    async with signed_in(login, viewport=size, **RUSSIAN) as page:
        await page.goto("/tracker/")
        await expect(page.get_by_role("heading", name="Мои задачи")).to_be_visible()
        money = await page.context.new_page()
        await money.goto("/billing/")
        await expect(money.get_by_role("heading", name="Мои деньги")).to_be_visible()
        row = page.locator("#open-rows tr[id]").first
        title = await row.locator(".title a").inner_text()
        await row.get_by_role("button", name="Выполнить").click()
        await expect(page.locator("#done")).to_contain_text(title)
        # The other page hears of it, shows it and says it.
        reward = money.locator("#my-entries tr", has_text=title).filter(has_text="Награда за работу")
        await expect(reward.first).to_be_visible()
        await picture(money, f"ru-money-{size['width']}")
        await reward.first.get_by_role("link", name=title).click()
        await expect(money.get_by_role("heading", level=1)).to_have_text(title)
        await money.get_by_role("link", name="Движения по задаче").click()
        await expect(money.locator("main")).to_contain_text("Награда за работу")
        await picture(money, f"ru-money-of-a-task-{size['width']}")


async def test_manager(signed_in: SignIn, size: dict[str, int]) -> None:
    title = f"Почистить клетки {time.time_ns()}"
    async with signed_in("manager", viewport=size, **RUSSIAN) as page:
        await page.goto("/tracker/all")
        await page.get_by_role("link", name="Новая задача").click()
        await page.get_by_label("Что нужно сделать?").fill(title)
        await page.get_by_role("button", name="Создать задачу").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(title)
        await page.get_by_role("navigation", name="Вы здесь").get_by_role("link").click()
        await page.get_by_label("Поиск").fill("клетка")
        await page.get_by_role("button", name="Отобрать").click()
        await expect(page.locator("#task-rows")).to_contain_text(title)
        await page.get_by_role("link", name="Нагрузка").click()
        await expect(page.get_by_role("table", name="Нагрузка")).to_be_visible()
        await page.goto("/tracker/distributions")
        await page.get_by_role("button", name="Раздать задачи").click()
        await page.get_by_role("dialog").get_by_role("button", name="Раздать задачи").click()
        await expect(page.locator("#distribution")).to_contain_text("Готово")
        await picture(page, f"ru-distributed-{size['width']}")


async def test_accountant(signed_in: SignIn, create: Create, size: dict[str, int]) -> None:
    async with signed_in("accountant", viewport=size, **RUSSIAN) as page:
        await to_place(page, "Учёт")
        await expect(page.get_by_role("heading", name="Сегодня")).to_be_visible()
        await changes_by_itself(page, f"#today {FIGURES}", lambda: create("Посчитать зерно"))
        await picture(page, f"ru-today-{size['width']}")
        await page.get_by_role("link", name="Дни", exact=True).click()
        await page.locator("#days tr").nth(1).get_by_role("link").click()
        await expect(page.get_by_role("heading", name="Выплаты")).to_be_visible()
        await page.get_by_role("link", name="Счета", exact=True).click()
        await page.locator("#accounts tr", has_text="\N{MINUS SIGN}").nth(1).get_by_role("link").click()
        await page.locator("#entry-rows .title a[href*='/tasks/']").first.click()
        await page.get_by_role("link", name="Движения по задаче").click()
        await expect(page.locator("main")).to_contain_text("Комиссия за назначение")
        await page.get_by_role("cell").get_by_role("link", name=re.compile(r"20\d\d")).first.click()
        await expect(page.get_by_role("heading", name="Сколько компания должна")).to_be_visible()


async def test_admin(signed_in: SignIn, create: Create, size: dict[str, int]) -> None:
    async with signed_in("admin", viewport=size, **RUSSIAN) as page:
        await to_place(page, "Аналитика")
        await expect(page.get_by_role("img", name="Доход компании по дням")).to_be_visible()
        await changes_by_itself(page, f"#now {FIGURES}", lambda: create("Проверить замки"))
        await page.get_by_role("link", name="Этот месяц").click()
        await expect(page.get_by_role("link", name="Этот месяц")).to_have_attribute("aria-current", "true")
        await picture(page, f"ru-analytics-{size['width']}")
        await page.get_by_role("table", name="Дни").get_by_role("link").first.click()
        await page.get_by_role("link", name="Этот день в аналитике").click()
        await expect(page.get_by_role("heading", name="Аналитика")).to_be_visible()
        # The registry knows who comes although it is open to strangers.
        await to_place(page, "События")
        await expect(page.get_by_role("heading", name="События")).to_be_visible()
        await expect(page.get_by_role("link", name="Войти")).to_have_count(0)
