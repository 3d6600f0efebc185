import { describe, expect, it } from 'vitest';
import { decodeXz, XzError } from './xz.ts';

// Made by xz 5.4.1 from sample(): --x86 --lzma2=dict=64KiB --check=crc32, as the kernel's build does ..
const PACKED_X86 = unbase64(
  '/Td6WFoAAAFpIt42AgEEACEBCADSuXTL4CKqC31dAHQfmQhS6OIUuQ2mXlPwRHGYpZoUd1cVYfi794ee4x2E5met8y3dWzXjG2Zyt2o1GPrOuSWw' +
  'UuaWxOxVSHcyk4knOHAoIgNCI4jlj+uLJwnULU1qxzZ7TVDthddvbKG8wjIXMo1oS4NjZxWF4L/ZWWcBWEX0WX7pxBY+u7In9ebPNrtjxaxKShak' +
  '/NvDKW8AegNNlg5+sXa2oQf0Txja2H2SA50H1skeoOEnfsYCFbt5aUzDMg7RbXKQ/Vq40TQ7FnNJ5gUA7Hws0qFExabjOZLuH/eKnNQvCoip++oX' +
  'FWbYutPwAN6AIhEi2QfMI52XHl333zJwg+m5we2GAiUHAldTj+okMfFRxt8Q01ArVo0DJSqLcJRxNUfILvNdcPG7U6fXQE+Pk764mriZ2tKytA+G' +
  'osAXsm7PpmPn4szp0NWkQscPuhKcCqP79aSuVyaTOTP1VQudDRpSkVRwXgaHnXrg6pN4VO4Up2VcD1KPmnPq+PUoASroLLQLBsFh4elAOefdLtnQ' +
  '2m8tVnRbvRISW5/f9AoRoywrVBF2oBY+ambL7kW2T3xjWWSH3HH4QeZfFl3HtVxUkXUSlgkdpJSGA7EnFvIvvgud/rK6SmGU+x8vrknF0WrlUkmG' +
  'Pqr1qjOBXqCx3CeKTB7KFl2zNd7sDDGXz/eflcZkpugWkdtjiaS58nHhmlHAaees6CCM2wk1bYxn1LQiweyg90ndGtj0l9mOae6Md9qmLOI9+2iw' +
  'BYP37TquYmDpOqe/ENQAsqHhIlToCWN4ApmbC7ToHSZEkK7Y+80qrzem7jKRVA6eof8eU25jh8oXTShICOYCCLMqq0GYapvAJctxpl/M8l7+KAvI' +
  '+G28lTIaXnH/uvbg1GjWRH+fyIAiVuPz8+MtEPQULpH0YcP9WNoY8EKwu/VI+MqVOX5rrZ/9TPD3vh2+cj2jHfMTiga8Hz37ahKG3OdejOmIZEK+' +
  'I2VreNbb+6QvHlVcBcS1B+tUEiyuFSn5fgqCTqsnZMSsPkyYIci7VZgfwLnnuDVPfQCWG+tjCf2LDoz87aVG4l1rDyMjZ40543cS0EA6RZfGWYGJ' +
  'syUSj6R6KSzCW98drJ5XPLtqkB9gOAKgvr7JmvB5Zp0C6FZYkRnIG2FuTDWUldt2Mrj/cc/R93C/XCP4+ILc52Ptzxvlh6ZXL+PHIdDzEKxX7E8N' +
  'e23aW6V7Q8U2e6tIO8AXrEcOfbCdC84SofddfKg6uku+ffptq0+o0EFfGPSH2vHKT8h+g7HVG6cq+JlQnC2SjxJRrgzvWTsVqDBj+Cgilrn+00NN' +
  'yJNq8e5bHsXpW/a/TeEScC9MrT2wITW0eiNicvFeFwQWkYBPt7X3+xDz8wCP3vaDgQY/r4X4t963U0EF5mwrsLNYHI4ccOHsCtujZsG7qXI8b8bn' +
  '/z+k9HSK5dQjxzpNjCl4xhWnsNg2v5IVb0VONBp6xz4gdKoKeFiGVT5lW4d4Pc4w/JTToHYC6HKWDmK6HVg726LRu6mpbqY0Ef+CmqMZROvNZmJI' +
  'gieEToWUEEeQt5JEh0H1X7C5ibgaYeMix+FvM5dXK9s4aiQKRDWtJ9n3Q098BezfrSOxaLAtYr/GJhjoEKAGIvGnRVW5XcDEFkYaQsok/F9Re9BR' +
  'fr9O4kHrIL+dYU4a/N7n9wzh9lmQ/e19ioyuHZyDItiBg3kd1qnrKLTGISVLUp7puBAmc9e3Z3Ogk/Yg3tWozXQJ/s3hVtkufhqSjyx+JqHI4wa6' +
  'Kp8aOfiac/guvYRJmUxVDGkxOd5miq/18q2PJ6pOZDzavbitFlbZZlgfo1hkqMFuWFDIR6rC1V9PnshMlu1Q28if4KgG5nhEZtB7d0TPW58Jy7JZ' +
  'kOao1WBKCOtfLwzvf3tJ0WrZuttwj/ohWQ6xgk+m1enRlPn9EJlRk9rcOjcNDVKwwB8ktY4l9uqewLYtIJz7shUa2B+UNu+ek32K9Cc6GUqePgcD' +
  'p1iauvnHhGY2RI5/zeHHjrjIINZhFoSUTKe94g5JzLX1BXE2NtgDAuuoH2Xw0IifNo4U/NaCzmgnfuZH2FjEBccKAz1J7hEb6D2T5GMu9UxhXRfE' +
  'djPAjZa8AWoPUMq5mc8N6rY6kE9iWPhuswVg68qzrzkrm35xKFGTnI9oXB7cWD040yvOMrxXUO5qvEEKxjRLYqkglOWUH94KBZU0OsUIx6W4jNx/' +
  'dTS4o63TGG0WIGVffXNfDvmoG/gxQOENm/TQJjDUF0pUTKrLgulJ/d5FzeQhgBoSWFytRimCyvhibSzQ7I4BFQPT+EQMLX7Lfa6AhtuLWuLpWIgx' +
  'tWqq9UgrCSFjeouANrDLEyWbQ4SD90Nu6NLjYmNY372y5ugjboOyntQSHHZnE6eqHnb6z90IRYEU17AabEWwrVMikPn4vBo1LSioj5CdzEZ5eWdr' +
  '4KY51lfnsDJeVZmlXX4EOHk8WOwzIOXL/HC6Ddl9Y/A5WqjV+f7WYN4qqYZFOQAmqLErNz0iQ1Bts3mzVBK1AS8vX4LNcZGEIvVM8P9VavqWuU0T' +
  'T7supN1IHynTqxYgzHNnvEvy0IAmz8En8IDpyWJ6X+UVGcB194ZCTfUpnfRvMY30aSjEp92P1ZXpk8ySW7QElTUgmljlJJcajNjPg33iu07gQ/bm' +
  'V3xCbCsJbvBtehy4ANAXjb7fgVaEgQT4JjDeEBjkuNra8gve4H+O4489WJ1pXNNxDXTXZt5di0fOeytQLuzvoDIGDFtNqYpXXSGKWSwfefs58xqv' +
  'ErKagXhBSlFSTyE4VP2yNY2Ude56UV89VraCzcstAhonNJTnEH8cJ2c+QY5IgHpddpI5d2PtzkTYROTSX1e8VZ9u8pGwt3i8F9UgkU7jnwBpVgk5' +
  '92JZHuCcgb3WUSf8PrP0vi2pL/s0svyEbg0rvz449hQuItcHFiliyeeSkRgcr90atadYjtO36DL8pUOgsXHZs+Div86B/pfeDGjEXBp7sfQrSaDp' +
  'a9QNo5kqNyL5JyulD6eWnN7lEUvVguJna6ql2hqqdoFHbAXNnBJDpWCvLoARFu6gSUVpclpndues4yL6/sT4qLlYhEXcZnKs9FPZDcIOn2F1WXtR' +
  'w1LT8G8k9Vid/0UKTW6zHvycWWfiXlas7rTnyuga1HvP8Q2dJVKq3tohNkNs5/EBqvSqI9yRK6CW6m+S8JyOuIDIt+RzjsC6qOHaIRnclWilggyX' +
  'BtbR2JIC8Mg3tRvwy3eytXhy/nCLIMhiLiUunfKJIFqkvX4nNmCyUWdLQYNEbAkqWPYhgZ1B/uQ2Lz+cnZoZ3kpsmh/8FagSeGwG9ZNQh9TCJkzr' +
  '/zh1kJ6OgsZypU96NlAlhglTCJg2XnuUk6nXk9sNJzb4vi7yZjUsgcILQqnOgnVQj1RPryJE7wy0nkgEVYZKI8rH+WOCnTPS7x1OkXT3DItVjfvK' +
  'kVjpCulAMExVRyPpS+wOFvfkU6PDAD7fS3/cQ82JQXu5DdcD0Zkt8yP435Lo+nKYoWbjIY4YDJsomNXJSCqvcpsviKRaGz99+Pt2YylZwaEhuz9I' +
  'z2PyRJ7touwIEeT9Fff5h5YwZgz4LMYwzUvZDl0PPx8znZKKBp+PaeHMvOzt6DWVlKG0qOZVgf/LkH2T6oG7kiEhF2U3AWu0iciJsMHhlp2HVhit' +
  'xY2pXcJ5upNw9K07ISkZcpjriuRitM6O18Aa4Sm1MknYYMqOIyXOUaYf7pf1O0SMkXLDhRyfpbnsJFJ88NMGNDcvEajEg0ITpZZ8vFBfsCfBaQJ5' +
  'UqyvzZ9Dwbn0FKXkSvlfEMy4BH9UfKQxK2voU8OSS+dq+th1tMlA6H+ADyEtpezr43wDdOhK8Ux6lm2UJAerS1nOGOLPfTEduCO5oNMb8PIzffy1' +
  'Z/NYbyuNEMtaGCkACE8iJfir5PmA3XvYKI6aJAZL2PIAAAAAXfoLOAABlRerRQAAkMkFsD4wDYsCAAAAAAFZWg==',
);
// .. and --lzma2=preset=0,lp=1,lc=2,pb=0 --check=crc64.
const PACKED_PLAIN = unbase64(
  '/Td6WFoAAATm1rRGAgAhAQwAAACPmEGc4CKqDxoLAHQgl8j09krEXOGnA/mRB85bpkX6HEsjSNFMGyINpTs976CrxbD5Ugd3iwOFxhlHfksH581B' +
  'TajleWA7v4Ten/ouGh2w47T4spe6F+oz16ZV5ZvpXYunJYGNiVc5BZcccIbFY1G1gyQ27cqracnePpdUc2wCy/Eeo6jaO0D8vw9pAoTxTUd/IzFI' +
  '2hkljwsCCkuuZ4nCnOiU/ieiirFGMtLXlAf1JLoYvGn+itDTQgC0VDGYGMyQFCxJeKrdXdZsXgz0RDxlpn6y9LIERM3m2+7VWrLIwSw1IJrI/ic5' +
  'JnS7TOUAH6elTRTDqmES7ly9EU1YF4NarD//sourSlbhwr98AutF2gUt+PlbQqNBXgwNTVTomMbbpRlL5xdWQMTSRHaGcL9xAePHAo+DQWeNpg79' +
  'vEHqORrKLnM/4Ksz1Pt0PNKosLwNcEOM3r7ytaLIPCInqV8+g+lJO+Qn30K5OT83wRWVRSxiDRPPcNsoHsG5tisDM9jabGysVcExbCNDbYdVQN8s' +
  'WGhYP/RpGTON8mBaWhUfVaTIQoxGmkhmz9+4yeKiO0TobPVr7CJ9Z9qiYMxuKHDbS6708m69wEhY8p31/mGcF548Dqyc4JAllWwSJk3n/VAxIfGB' +
  '7mXwX87/9tinMTyj1rCqop6NmirdFF/51baTNuVQbbif8Pok29gUsQc16t6RXl1W176Odrsp7spsQ4txaNb2JTtEEaY9LiOo09ExveBkV2zlMntL' +
  'YdfQsS3CC5bt4QqDx6h9oYltJmk86H7dDMBrc9Wpz/NlbUAXrzp3yeO0zU5NkVePRM+rkOJo02sbU88tGDM5MJ5I1AiRBjhfDOloY8N5c1uxtzy4' +
  'K49Ilx0Ogu6pfoF0Y7dvLlltay94p+g7njtHQNMeAjTMmLU2R4n7BzSr/KKe7GWgjuFPs9/rrgsEgYklahlWdGQu3gietp0zLIIERdOXNW2jf8G/' +
  'kHt8av5dZoirfiNg6E8dV/v43FjlOeyimqxUxgG3LeWkEDZpWqBei7kpLvLzFG5Eu8j/SgMdr/auR7jlRPU97YC7hKu54t3jkHCV7+YEiNXS0ysG' +
  'fSWq9w0z7PZ7wx2hl2E82PJHn76jJraaDxx9LKAx++4IcO0/VG2jPBxCMmm9baRfx8pKpcmFODy87YlMryhJOFe2lBXjpuq1dcflMwFyMgAJzx6J' +
  'Fjx/zy244HTsXxSdZtl5YM9sA8r+WhIc7hcpMJSyrjkuACvwMHt9bZIpe3RSzjazjbGJEhUx9iJQoXCTfPh+yt00zvKKEs0QHfgGWAC3ytfo49Y5' +
  'Gx5wMPbOAgMBL/SW7NmIADD5pukyaNX8iL+EK6+MGjxLMbP6SYnMroD1qwbd2c9zYktp1dKPAc0mGwmy+8FrwoQv+SplLhlZRnliNctvXT1lDbkL' +
  'KHTK4gdkFRYv1whmjcyC9SiKYqEDNs8iPjqYKpUM3B8+L8f3P+QVYSG7Z6dBttqGdB4w7RK6IaN/glvymYgsXwHx5zhHs50y1xadPcvYIWSux7m6' +
  '+87KD20+GQLEYRNNRPBPeDwpnLMUuNHCyhZGGDTi7UODdX024z6aLtr+5EhxKy55uSZn6tXqqj9Ae/0rdXXJ86ak++o4agQXqDKNYck7ekyxQdQP' +
  'ViRxPhv042UGTTJ4miKOMs46ykUMSd+0Bc4H+qBTPsFT1OhYND+PLL7PIdy/4ro4o54rI5Hh/4kWDiYOnrzc6QD40GccKpQTFr7MIUlw7rDH+PT9' +
  'zXsEO06uyTQGyPN48sgtfsuVroqjKybvDmBmJuKalTMlxoFLvj8O/yj33G73cyMMGrvozHN/tZ+oidFaXZYyJ+JQxcUgh9dsb860JpviuTJGjIg/' +
  'CstBgtwYAQOXfknFSt3JPlXm/IBBI7pea84sWwD4S+DMPEcqHOv8NNvs1NMKauwPDrZX3Q6LEPHhOOWnfGXAkJumD00y9UrfXZk50hApw4nS7xXo' +
  'j7uDvMq4y8rrjBY64x1Qmf7wzSZJUa33IHIVTXfUjrxuOQGq9SJyQzgvx9lXyIt+dVG+bWlYbuKUwigzdofYRZ1fsH6WSpauUvPH8Wr/CttRhmiY' +
  'hkjULkp+gl4ekM+/kCa2jzrTvHlyUdcojqoGDAymAkoyhmGOHEwLat4vWcv8J6MZYMW4R3RU1zm9u0Oa0deTspn7k8SYaZAlg0ynjZ3VgNqijZEE' +
  'MLgdVhOPNYzhWEdHhYZkctbJJ/teaXcows+I9Hg/Z2hgWyaeijJtimO0pHIfC7+trqY9pNNcwaV1FWGe8VdoJAbVthL/yyoE3oihWEkX8KV69zuI' +
  'lZYrC8pk2vJtCGKak1+Q727nMU+eNVIWH37ZZq3d1Mn5Wf99GEAgxNu7CdN7yHakpXJ2nuMLb+wSblV/nDkkCIEB6ndu+S83kUOUqGfw5oIIUWJB' +
  'k3C1rOWezgchJra12jHrYKfgJ6n/k8v3cEXChT7KqD88mGb0my9jJ4RNojt3c6YqYDehaFT9eSr8ixv7+oPSh0vrnUxXB5D6evMV6rOm9oeOxRo5' +
  'E/4f8q6Scc+r8SMzuKaFJ/lkipke0LdQTCygGOI4T/Wepdo/GOvzkbFGTElEYnc7bqNPbRHrpzix+6deP192+gxQchRrU2GGRwVGKE3AqkZUMb1k' +
  'zmPlBE+1lkk+trFSQPr99bI+F6Ddj+GMvye1Zu1A3aQmuev3qr13vkxI6GrGGJMhM7+lm63gco4/hU+J1LfGEfIrG6FvsqiF35eDe+8UCesv+H9g' +
  'dSczk3iEVKfUjDT66vVyF27VfTihv2+Hh1dy3TrW4ATPCWoReP1pYZviYUWzgGngaeN6zGmg/0ZhR4gMAZg3EhWHM/bOdEUcnWk6s3woj0R1IMKF' +
  '60Ifk/FUczbxPJjUjwkcJKzNlt0kVmedL5SCqP+auaaM7GdZx0QtEj849GcCpCJDqr6PF8Wkm5e7f55KdtoDa4CuRgieE9vfPb0X3W+ut00GSBGq' +
  'c+U6MdXyuLKIhvVCbecRbZsBN6ugA5go0s7aF39jeopPQdE7SEsqJ4cVoTTvYLxfVi/5mwLCQH4ASUv0OF9kTFmBRz0v7rTwogAVZ7FXnOKWB5dv' +
  'M8HkLXF592iSoX8Qmm4oSaaQki3jGXDP3NkHf0O89PxWbE47NjW2Wj0jTbM2HmnWBx8Ff4xW45giG6D/RtekXsWLHUYQx8wDu+ZilU9ygb4dUAkS' +
  'vYIqH5cfPYMyreyOvoRLX+LbXoBbUjTQLgvmJPiDUjg+TpGBKI/ELDG36GgHHNb9UiR/kiqxSVnmkpeSCso0L8N3VqDs9xgHH0oZ0bazf/iAfpy7' +
  'Mdyw4UgXCgvrmnHGvzdI8tVWnNEDzC3rTc44HQPpvkJ4j88pxFM1ERzYf6Z/bvf1ctcj2AlUT31HurW/QyJYwHmD/bhww/PspzicpJ2a6NWTHkgN' +
  'y3KNqGo3rTlV+i7CUdPyq0MYccsO/tqWY8icQ+HCh3cAwvME8tCWLIy/4ekPHvaVkAtdaX7ucMq8FwYmTK1ho3VvR5H5gowYnZvwYyvwLQJtrYnG' +
  '++k597n0/us6n+ovkksxq8+JSzL9Ba5+yapZ0Z9QLqQY+V47WHPnnjf5B0mC5w1g9s480jLeQJjJfUDohEH+xzeL+owx5Ph+cF27wt/U6Xq/U5PV' +
  'sb4izDVgulirFJSQfucmuguzxyCYHXYGPmvZcXAnYZfoVdK8q/OMz+2SwSC8ATFgXIhcGXaBMt4l+QJ7n0rko7stUfacL/NPNr7zI6KXeCCwGS41' +
  'BLYGI0b7X6Pe2aeo6detWduXPrl+/AXDjm8TZk46l7Q8r8D7wMM4cVOywQENSisP/196TCYFqajiG3NucyHrGFx90UKjTuQ6/vW8+g19WdvFCEhx' +
  'SbtWf/zXkkFp3QDD8GI/bZtVoiL2//9xlBCqVBfdt4kSzjJ9t6lR5g7aq1JQI33DcB6rpQRB//kYFFjhtvwiUc+YvQpLrV3GkR0MSigDgXjxplPk' +
  'mvgTREXb+8eKO/dUQ7pJ6K/4TVZBeS8J5ykpDbs2BjQAFJIv1wo5YJ98GmjpHbsHfrWinpmlk4ee/B7NDDVnVqiWlYjJJe4wiMuylhtq69GxDFUC' +
  'yek9ITodwf4QpfGUW7kF2yPNtT6RpcXz5vJRLlUrMCZqrDUAz26O+nc6uL/v3U5PAnkYTMvZufd+8/4Ok9GaWbFtNGmQE43lChGllmCaLjiFjg0v' +
  'w1ojAdaN9Xrk3LIt8ik5d6x0ZOAMm4675N1Kv5ZOW3M0ECNePM1V5LZX5Gu9cS/eQCsC+9xiTbOszhEM/D1lS1p7duzwxBzD7UsbzEM8ljgWlNmp' +
  'uKB0YKYRg/hqWWhIRQ+6SLMP7eRiAvvjxPjtWW6oCwa6QyvWwZFGvyLkYpOkrcynQek+a0zpOl3+S7EBQHhsbv9tiIMJIQRrehGeeC8sWHstK9Sz' +
  'OQ/jufLnW7PWjNIBOCgtv6o95qlf70IDawRiNNY+GXzcCycINwG3K2H82HBImuXIZSCDXFGf6lh8TT5FQorcK7jTnsE2uFA9p6/joqHMKLdCElaM' +
  'p1D4zYq8ewsqsQBo+KzM9u3RUWKG9WgizNh7gnI/2kiErwyXrQZSHN9zZIYdPeIAaYFE63qXC+1WLhQP5npla4+LHDcxu/+JSqz0yD0YnwnCXnCB' +
  'qvfuKuq7Uxqvx3I2nwTPuGDTD6mGaYvOZpn7vaBoP/+FMizaIL0Os5CEQU8GCR59KFT/8Ls72R4QcmZZyXX3r9GM+KoHfk54MdVI1HCzmjLoIg8D' +
  'Wk9Qe+n8Sh/uQ1EKo2VIJlyHa7r4hV+Qp+dl9IucJhD/pi4FB5t+jE1+KlgHVBdXk2cb/HUo/60sDoEULSAacMtH0EofFXabN07jW36l5ao4R/9c' +
  'kDpf7rnq+7G2HlONQAgJmzSLViJn2T5OLaY4ps79VxjUeyHnT5T3/+vj8n6eLPcZE/QVt9ayGJzZEocL+6agKyngRHcXn25eAF8j1YBrn3Mq1HOO' +
  'r+y8KXylRmjpANS4At7TQ5xlvDGeckg3FW4oW6ecGtA/VCOUNCtmdpoqiFo23Kt6dp9UG+M3WKIhfLuum0tqYs1ung8wIhu3aGkjvVlU1IN45fBL' +
  'vRungiiXSgHLrTJtPczKUMF5HZN+t1yXWHmr7eZ8cSdYAAAA8QONpqgkucsAAbYeq0UAAHncLTyxxGf7AgAAAAAEWVo=',
);

describe('xz', () => {
  it('unpacks LZMA2 behind the x86 filter', () => {
    expect(decodeXz(PACKED_X86, sample().length)).toEqual(sample());
  });

  it('unpacks LZMA2 with other properties, and skips a check that it does not know', () => {
    expect(decodeXz(PACKED_PLAIN, sample().length)).toEqual(sample());
  });

  it('refuses every truncation', () => {
    const size = sample().length;
    // The index and the footer after the last block (24 bytes) are not needed.
    for (let length = 0; length < PACKED_X86.length - 24; length++) {
      expect(() => decodeXz(PACKED_X86.subarray(0, length), size)).toThrow(XzError);
    }
  });

  it('notices every flipped bit', () => {
    const size = sample().length;
    for (let at = 0; at < PACKED_X86.length - 24; at += 7) {
      const damaged = PACKED_X86.slice();
      damaged[at] ^= 1 << at % 8;
      expect(() => decodeXz(damaged, size), `byte ${at}`).toThrow(XzError);
    }
  });

  it('refuses another size than the stream gives', () => {
    const size = sample().length;
    expect(() => decodeXz(PACKED_X86, size + 1)).toThrow(XzError);
    expect(() => decodeXz(PACKED_X86, size - 1)).toThrow(XzError);
  });
});

/** Something like machine code: calls to absolute places, texts, stray call opcodes. */
function sample(): Uint8Array {
  const out: number[] = [];
  let seed = 1;
  const next = (): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed >>> 16;
  };
  for (let round = 0; round < 1200; round++) {
    const kind = next() % 8;
    if (kind < 3) {
      const target = (0x4000 + (next() % 16) * 64 - out.length - 5) >>> 0;
      out.push(next() % 2 ? 0xe8 : 0xe9, target & 255, (target >>> 8) & 255, (target >>> 16) & 255, target >>> 24);
    } else if (kind < 6) {
      for (const character of `mov ${next() % 4}, r${next() % 16}; `) out.push(character.charCodeAt(0));
    } else {
      for (let index = 0; index < kind - 4; index++) out.push(0xe8, next() & 255);
    }
  }
  return Uint8Array.from(out);
}

function unbase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
