"""飞行活动申请表: the fields art. 27 asks for, as CSV and as a page to print. Pure.

What Gridwing does not know (people's names, telephone numbers, frequencies of the vendor's link)
is left to be filled in by hand, and says so.
"""

import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.clearance import ApplicationKind, ApplicationState
from domain.device import Dock, Drone
from domain.district import District
from domain.mission import Mission
from services.patrol.sky.applications import deadlines
from services.patrol.sky.rules import SkyRules
from services.patrol.sky.standing import Clearance

BY_HAND = ""
TITLE = "无人驾驶航空器飞行活动申请表"
LEGAL = "依据《无人驾驶航空器飞行管理暂行条例》第二十七条"
ROUTES_LISTED_LIMIT = 200
_KINDS = {
    ApplicationKind.LONG_TERM: "长期飞行活动申请",
    ApplicationKind.DAILY: "飞行活动申请（次日计划）",
    ApplicationKind.EMERGENCY: "紧急飞行活动申请",
}
_STATES = {
    ApplicationState.FILED: "已提出",
    ApplicationState.APPROVED: "已批准",
    ApplicationState.REJECTED: "不予批准",
    ApplicationState.WITHDRAWN: "已撤回",
}
_NATURES = {"patrol": "网格巡查", "emergency": "应急处置", "survey": "勘查"}


@dataclass(frozen=True, slots=True)
class FormRow:
    """One field: its number in art. 27, its name, and what stands in it ('' = by hand)."""

    number: str
    name: str
    value: str


def form_rows(
    clearance: Clearance, district: District, missions: Sequence[Mission], rules: SkyRules
) -> tuple[FormRow, ...]:
    """Return the application's form. `missions` are the routes known so far, if any."""
    application = clearance.application
    drones = [d for d in district.drones if d.sn in application.drone_sns]
    docks = [d for d in district.docks if d.drone_sn in application.drone_sns]
    due = deadlines(application, rules)
    rows = (
        ("", "申请编号", application.application_id),
        ("", "申请类别", _KINDS[application.kind]),
        ("", "状态", _state(clearance, rules)),
        ("", "提出申请截止", _time(due.apply_by, rules)),
        ("(一)", "飞行活动组织单位", f"{district.name}综合应急指挥中心"),
        ("(一)", "操控人员信息及资质证书", BY_HAND),
        ("(二)", "无人驾驶航空器类型、数量", _fleet(drones, rules)),
        ("(二)", "主要性能指标", _performance(drones)),
        ("(二)", "登记管理信息（序列号）", "；".join(d.sn for d in drones)),
        ("(三)", "飞行任务性质", _NATURES.get(application.nature, application.nature)),
        ("(三)", "飞行方式", "机场自动起降，超视距，经 4G/5G 网络指挥"),
        ("(四)", "起飞、降落和备降机场（场地）", _places(docks)),
        ("(五)", "通信联络方法", BY_HAND),
        ("(六)", "预计飞行开始、结束时刻", _span(clearance, rules)),
        ("(七)", "飞行航线、高度、速度", _routes(missions, drones, application.ceiling_agl_m)),
        ("(七)", "飞行空域范围", _area(clearance, district)),
        ("(七)", "进出空域方法", "由机场垂直起降，空域内往返"),
        ("(八)", "指挥控制链路无线电频率及占用带宽", BY_HAND),
        ("(九)", "通信、导航和被监视能力", "网络链路；GNSS/RTK；运行识别广播及网络上报"),
        ("(十)", "安装二次雷达应答机或自动监视设备代码", "未安装"),
        ("(十一)", "应急处置程序", _emergency(rules)),
        ("(十二)", "特殊飞行保障需求", BY_HAND),
        ("(十三)", "其他必要信息", f"起飞前报告截止：{_time(due.report_by, rules)}"),
        ("", "申请人签字", BY_HAND),
        ("", "申请单位盖章、日期", BY_HAND),
    )
    return tuple(FormRow(*row) for row in rows)


def form_csv(rows: Sequence[FormRow]) -> str:
    """Return the form as CSV (RFC 4180) with a byte-order mark, which office programs look for."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("条款", "项目", "内容"))
    writer.writerows((row.number, row.name, _inert(row.value)) for row in rows)
    return "\ufeff" + text.getvalue()


def form_html(rows: Sequence[FormRow]) -> str:
    """Return the form as one page ready to print, without scripts or anything from elsewhere."""
    body = "\n".join(
        f'<tr><td class="n">{html.escape(r.number)}</td>'
        f'<th scope="row">{html.escape(r.name)}</th>'
        f'<td{_class(r)}>{html.escape(r.value).replace(chr(10), "<br>")}</td></tr>'
        for r in rows
    )
    return _PAGE.format(title=TITLE, legal=LEGAL, rows=body)


_PAGE = """<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
@page {{ size: A4; margin: 16mm 15mm; }}
body {{ font: 11pt/1.5 "Noto Serif CJK SC", "Songti SC", SimSun, serif; color: #000;
  background: #fff; max-width: 180mm; margin: 0 auto; padding: 8mm 0; }}
h1 {{ font-size: 17pt; text-align: center; letter-spacing: .1em; margin: 0 0 2mm; }}
p {{ text-align: center; margin: 0 0 5mm; font-size: 9.5pt; }}
table {{ width: 100%; border-collapse: collapse; }}
th, td {{ border: .3mm solid #000; padding: 1.6mm 2.4mm; text-align: left; vertical-align: top; }}
th {{ width: 46mm; font-weight: 600; }}
td {{ overflow-wrap: anywhere; }}
td.n {{ width: 13mm; text-align: center; white-space: nowrap; }}
td.hand {{ height: 11mm; }}
tr {{ break-inside: avoid; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{legal}</p>
<table>
{rows}
</table>
</body>
</html>
"""


def _class(row: FormRow) -> str:
    return ' class="hand"' if row.value == BY_HAND else ""


def _inert(value: str) -> str:
    """A cell that begins like a formula is not to be run by a spreadsheet."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _time(at: datetime, rules: SkyRules) -> str:
    return rules.local(at).strftime("%Y年%m月%d日 %H:%M")


def _span(clearance: Clearance, rules: SkyRules) -> str:
    application = clearance.application
    return f"{_time(application.starts_at, rules)} 至 {_time(application.ends_at, rules)}"


def _state(clearance: Clearance, rules: SkyRules) -> str:
    told = _STATES[clearance.state]
    number = f"，批准文号 {clearance.number}" if clearance.number else ""
    confirmed = "".join(
        f"\n起飞确认：{_time(c.from_at, rules)} 至 {_time(c.until_at, rules)}"
        for c in clearance.confirmations
    )
    return f"{told}{number}{confirmed}"


def _fleet(drones: Sequence[Drone], rules: SkyRules) -> str:
    names = {"micro": "微型", "light": "轻型", "small": "小型", "medium": "中型", "large": "大型"}
    classes = dict(rules.models)
    models = sorted({d.model for d in drones})
    return "；".join(
        f"{m}（{names.get(classes.get(m, ''), '类别待定')}）{sum(d.model == m for d in drones)} 架"
        for m in models
    )


def _performance(drones: Sequence[Drone]) -> str:
    by_model = {d.model: d for d in drones}
    return "；".join(
        f"{m}：巡航 {d.cruise_m_s:g} 米/秒，续航 {d.endurance_s / 60.0:.0f} 分钟，"
        f"返航余量 {d.reserve_pct:g} %"
        for m, d in sorted(by_model.items())
    )


def _places(docks: Sequence[Dock]) -> str:
    return "\n".join(
        f"{d.name}：{d.position.lon_deg:.6f}, {d.position.lat_deg:.6f}（WGS-84），"
        f"大地高 {d.height_ellipsoid_m:.1f} 米"
        for d in docks
    )


def _routes(missions: Sequence[Mission], drones: Sequence[Drone], ceiling_agl_m: float) -> str:
    speed = max((d.cruise_m_s for d in drones), default=0.0)
    head = f"真高不超过 {ceiling_agl_m:g} 米，速度不超过 {speed:g} 米/秒"
    lines = [
        f"{m.mission_id}：{len(m.wayline.waypoints)} 个航点，"
        f"{m.wayline.length_m / 1000.0:.1f} 公里，约 {m.wayline.flight_time_s / 60.0:.0f} 分钟"
        for m in missions[:ROUTES_LISTED_LIMIT]
    ]
    return "\n".join([head, *lines])


def _area(clearance: Clearance, district: District) -> str:
    area = clearance.application.area
    if area is None:
        return f"{district.name}辖区（区划代码 {district.code}）"
    return "\n".join(
        " → ".join(f"{lon:.6f}, {lat:.6f}" for lon, lat in rings[0]) for rings in area.polygons
    )


def _emergency(rules: SkyRules) -> str:
    recall = rules.recall
    return (
        f"风速超过 {recall.wind_limit_m_s:g} 米/秒、降雨超限或前方新设临时管制空域时自动返航；"
        f"链路中断 {recall.link_lost_s:g} 秒悬停，{recall.hold_limit_s:g} 秒未恢复返航；"
        "低电量自动返航；指挥中心可一键停飞、召回全部航空器"
    )
