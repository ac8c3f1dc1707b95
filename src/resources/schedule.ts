import cron from 'node-cron';

/** True for five cron fields: minute, hour, day of month, month, day of week. */
export function isSchedule(text: string): boolean {
  return text.trim().split(/\s+/).length === 5 && cron.validate(text);
}

/** True for the name of an IANA time zone that this machine knows. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
