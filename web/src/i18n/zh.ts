export const zh = {
  product: "空天地一体指挥平台",
  login: { account: "账号", password: "密码", enter: "登录", wrong: "账号或密码不对", leave: "退出" },
  live: { on: "实时", stale: "数据已中断，自 {{time}} 起未更新" },
  list: { title: "事件", empty: "目前没有事件", openOnly: "未结案", all: "全部", count: "{{count}} 件" },
  fleet: { title: "机队", battery: "电量", height: "高度", speed: "速度" },
  stop: {
    stop: "停飞", title: "停飞", what: "停飞后任何无人机不得起飞，直到有权限的人员解除。", reason: "原因",
    allHome: "同时召回全部在飞无人机", next: "下一步", confirm: "确认停飞", cancel: "取消", lift: "解除停飞",
    liftAsk: "确定解除停飞吗？无人机将重新起飞。", failed: "没有成功，请重试",
    refused: { 403: "您没有此权限", 409: "情况已变化，请重新确认" },
    effect: "在飞 {{flying}} 架，正在起飞 {{leaving}} 架，已计划 {{planned}} 架。",
    stood: "停飞中：{{by}} {{time}}，{{reason}}", stoodAllHome: "停飞并召回中：{{by}} {{time}}，{{reason}}",
    why: {
      safety: "安全", weather: "天气", airspace: "空域", authority: "主管部门要求", technical: "技术故障", exercise: "演练",
      other: "其他", clear: "已恢复",
    },
  },
  page: {
    back: "返回列表", evidence: "现场图片", noEvidence: "尚无图片", timeline: "处置过程", dispatches: "派单",
    acknowledge: "确认知悉", dispatch: "派单", verify: "无人机核查", falseAlarm: "误报结案",
    dismiss: "不予立案", close: "结案", cell: "网格", police: "警格", opened: "上报时间", level: "升级", source: "来源",
    choose: "自动选择处置力量", confirm: "确定要执行“{{action}}”吗？",
  },
  map: { schematic: "示意图：几何为示意，非测绘成果" },
  lang: "English",
  state: {
    reported: "上报", filed: "立案", dispatched: "派遣", handling: "处置", feedback: "反馈", verifying: "核查",
    closed: "结案", dismissed: "不予立案", merged: "并案", deferred: "延期", suspended: "挂账", rework: "返工",
  },
  kind: {
    fire: "明火", smoke: "烟雾", exposed_rubbish: "暴露垃圾", blocked_fire_lane: "占用消防通道", flooded_road: "道路积水",
    floating_debris: "水面漂浮物", crowd: "人员聚集", illegal_structure: "违法搭建", illegal_parking: "违规停车",
    person_in_water: "人员涉水", device_fault: "设备故障",
  },
  severity: { critical: "特急", high: "紧急", medium: "一般", low: "较低" },
  force: {
    grid: "网格", police_grid: "警格", fire_post: "微型消防站", urban_management: "城管", water: "水务", safety: "安监",
  },
  dispatch: {
    offered: "已派出", accepted: "已接单", refused: "已拒单", arrived: "已到场", handed_back: "已反馈", withdrawn: "已撤回",
  },
  phase: {
    idle: "待命", preparing: "准备", taking_off: "起飞", en_route: "航线", on_task: "作业", holding: "悬停",
    returning: "返航", landing: "降落", fault: "故障", offline: "离线",
  },
  outcome: { handled: "已处置", false_alarm: "误报", unfounded: "不属实", handed_over: "已移交" },
  event: {
    "hazard.raised": "发现隐患", "hazard.renewed": "隐患仍在", "look.concluded": "复看结论",
    "incident.reported": "上报", "incident.fused": "合并同一事件的又一次发现", "incident.filed": "立案",
    "incident.dismissed": "不予立案", "incident.acknowledged": "指挥台已知悉", "dispatch.offered": "派单",
    "dispatch.short": "无人可派", "dispatch.accepted": "接单", "dispatch.refused": "拒单", "dispatch.arrived": "到场",
    "dispatch.handed_back": "处置反馈", "dispatch.withdrawn": "撤回派单", "incident.escalated": "升级",
    "incident.verification_requested": "请求核查", "incident.verified": "核查通过", "incident.reworked": "核查未通过，返工",
    "incident.closed": "结案", "device.alarm_raised": "设备告警", "device.alarm_cleared": "设备告警解除",
    "device.event_noted": "摄像机事件",
    "evidence.viewed": "查看图片",
  },
  why: {
    confirmed: "仍存在", refuted: "已消除", unclear: "看不清",
    flight: "无人机核查", person: "人工核查", device: "设备告警已消失",
    nobody_on_duty: "无人在岗", all_busy: "全部在忙", no_rule: "没有派单规则", level: "第 {{level}} 级",
  },
  phone: {
    tasks: "我的任务", none: "目前没有任务", onDuty: "在岗", offDuty: "离岗", accept: "接单", refuse: "拒单",
    arrive: "我已到场", photo: "拍照", handBack: "处置完成，反馈", navigate: "导航", photos: "{{count}} 张照片",
    needPhoto: "请先拍照", refuseWhy: { busy: "正忙", too_far: "太远", not_mine: "不归我管" }, away: "{{distance}} 米",
    sent: "已反馈，等待核查", report: "上报问题",
  },
};
export type Catalogue = typeof zh;
